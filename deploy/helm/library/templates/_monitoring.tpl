{{/* Metrics, for the Prometheus operator. */}}

{{- define "chapar.serviceMonitor" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $monitor := .Values.serviceMonitor -}}
{{- if $monitor.enabled }}
apiVersion: v1
kind: Service
metadata:
  {{- include "chapar.metadata" (dict "context" . "name" "-metrics" "component" "metrics") | nindent 2 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "chapar.selector" . | nindent 4 }}
  ports:
    - name: metrics
      port: 7402
      targetPort: metrics
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "chapar.metadata" (dict "context" . "component" "metrics") | nindent 2 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  jobLabel: app.kubernetes.io/name
  namespaceSelector:
    matchNames:
      - {{ .Release.Namespace }}
  selector:
    matchLabels:
      app.kubernetes.io/name: chapar-{{ $facts.service }}
      app.kubernetes.io/instance: {{ .Release.Name | quote }}
      app.kubernetes.io/component: metrics
  endpoints:
    - port: metrics
      path: /metrics
      interval: {{ $monitor.intervalSeconds }}s
{{- end }}
{{- end -}}
