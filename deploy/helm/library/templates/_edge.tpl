{{/* How clients and operators reach the gateway; owners have no Service, since members find each other by Kafka. */}}

{{- define "chapar.services" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
  {{- with .Values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .Values.service.type }}
  {{- if eq .Values.service.type "LoadBalancer" }}
  externalTrafficPolicy: Local
  {{- end }}
  selector:
    {{- include "chapar.selector" . | nindent 4 }}
  ports:
    - name: grpc
      port: {{ ternary 443 7400 (eq .Values.service.type "LoadBalancer") }}
      targetPort: grpc
---
apiVersion: v1
kind: Service
metadata:
  {{- include "chapar.metadata" (dict "context" . "name" "-operators") | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "chapar.selector" . | nindent 4 }}
  ports:
    - name: operators
      port: 7401
      targetPort: operators
{{- end -}}

{{- define "chapar.route" -}}
{{- $route := .Values.route -}}
{{- if $route.enabled }}
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
spec:
  parentRefs:
    {{- toYaml $route.parents | nindent 4 }}
  hostnames:
    {{- toYaml $route.hostnames | nindent 4 }}
  rules:
    - backendRefs:
        - name: {{ include "chapar.fullname" . }}
          port: {{ ternary 443 7400 (eq .Values.service.type "LoadBalancer") }}
{{- if ne .Values.publicTls.source "none" }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
spec:
  targetRefs:
    - group: ""
      kind: Service
      name: {{ include "chapar.fullname" . }}
      sectionName: grpc
  validation:
    hostname: {{ first $route.hostnames }}
    {{- if $route.caConfigMap }}
    caCertificateRefs:
      - group: ""
        kind: ConfigMap
        name: {{ $route.caConfigMap }}
    {{- else }}
    wellKnownCACertificates: System
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
