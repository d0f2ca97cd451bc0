{{/* Who may speak to whom: nothing but the edges of the call graph (facts.yaml), brokers, database, names, metrics. */}}

{{/* Ports of "host:port,host:port", each once. */}}
{{- define "chapar.portsOf" -}}
{{- $ports := list -}}
{{- range regexFindAll ":[0-9]+" . -1 -}}
{{- $ports = append $ports (trimPrefix ":" . | int) -}}
{{- end -}}
{{- range uniq $ports }}
- protocol: TCP
  port: {{ . }}
{{- end }}
{{- end -}}

{{/* What processes and the Job that prepares need alike. */}}
{{- define "chapar.dependencyEgress" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $policy := .Values.networkPolicy -}}
- to:
    {{- toYaml $policy.dns | nindent 4 }}
  ports:
    - protocol: UDP
      port: 53
    - protocol: TCP
      port: 53
- to:
    {{- toYaml $policy.kafka | nindent 4 }}
  ports:
    {{- include "chapar.portsOf" .Values.kafka.brokers | trim | nindent 4 }}
{{- if $facts.owner }}
- to:
    {{- toYaml $policy.mongo | nindent 4 }}
  ports:
    {{- $hosts := .Values.mongo.uri | trimPrefix "mongodb://" | splitList "/" | first }}
    {{- include "chapar.portsOf" $hosts | trim | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "chapar.ingress" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $policy := .Values.networkPolicy -}}
{{- if $facts.owner }}
- from:
    {{- range $facts.callers }}
    - podSelector:
        matchLabels:
          {{- include "chapar.processes" . | nindent 10 }}
    {{- end }}
  ports:
    - protocol: TCP
      port: 7400
{{- else }}
- ports:
    - protocol: TCP
      port: 7400
  {{- with $policy.clients }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with $policy.operators }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - protocol: TCP
      port: 7401
{{- end }}
{{- end }}
- from:
    {{- toYaml $policy.prometheus | nindent 4 }}
  ports:
    - protocol: TCP
      port: 7402
{{- end -}}

{{- define "chapar.networkPolicy" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $values := .Values -}}
{{- if $values.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "chapar.selector" . | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    {{- include "chapar.ingress" . | trim | nindent 4 }}
  egress:
    {{- include "chapar.dependencyEgress" . | nindent 4 }}
    - to:
        {{- range $facts.callees }}
        - podSelector:
            matchLabels:
              {{- include "chapar.processes" . | nindent 14 }}
        {{- end }}
      ports:
        - protocol: TCP
          port: 7400
    {{- if $values.otlp.address }}
    - to:
        {{- toYaml $values.networkPolicy.otlp | nindent 8 }}
      ports:
        {{- include "chapar.portsOf" $values.otlp.address | trim | nindent 8 }}
    {{- end }}
    {{- if eq ($values.settings.codeDelivery | default "") "webhook" }}
    {{- $url := urlParse $values.settings.codeWebhookUrl }}
    - to:
        {{- toYaml $values.networkPolicy.codeWebhook | nindent 8 }}
      ports:
        {{- if contains ":" $url.host }}
        {{- include "chapar.portsOf" $url.host | trim | nindent 8 }}
        {{- else }}
        - protocol: TCP
          port: {{ ternary 443 80 (eq $url.scheme "https") }}
        {{- end }}
    {{- end }}
{{- end }}
{{- end -}}
