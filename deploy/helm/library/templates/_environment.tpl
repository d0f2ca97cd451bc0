{{/* The environment of a process. */}}

{{/* One setting as the process reads it: whole numbers without exponents, flags as 1 or 0. */}}
{{- define "chapar.settingValue" -}}
{{- if kindIs "bool" . -}}
{{ ternary "1" "0" . }}
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end -}}

{{/* Where brokers and database are; takes (dict "context" . "kafkaUser" ... "mongoUser" ...). */}}
{{- define "chapar.dependencies" -}}
{{- $facts := include "chapar.facts" .context | fromYaml -}}
{{- $values := .context.Values -}}
- name: CHAPAR_DATA_DIR
  value: /var/lib/chapar
- name: CHAPAR_SECRETS_DIR
  value: /run/chapar/secrets
- name: CHAPAR_KAFKA
  value: {{ $values.kafka.brokers | quote }}
- name: CHAPAR_KAFKA_REPLICAS
  value: {{ $values.kafka.replicas | int | quote }}
- name: CHAPAR_KAFKA_USER
  value: {{ .kafkaUser | quote }}
{{- if $values.kafka.ca.secretName }}
- name: CHAPAR_KAFKA_CA
  value: /run/chapar/kafka/ca.crt
{{- end }}
{{- if $facts.owner }}
- name: CHAPAR_MONGO_URI
  value: {{ $values.mongo.uri | quote }}
- name: CHAPAR_MONGO_DATABASE
  value: {{ $values.mongo.database | quote }}
- name: CHAPAR_MONGO_USER
  value: {{ .mongoUser | quote }}
{{- if $values.mongo.ca.secretName }}
- name: CHAPAR_MONGO_CA
  value: /run/chapar/mongo/ca.crt
{{- end }}
{{- end }}
{{- range $name, $value := $values.settings }}
{{- $text := include "chapar.settingValue" $value }}
{{- if $text }}
- name: CHAPAR_{{ $name | snakecase | upper }}
  value: {{ $text | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "chapar.environment" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $mongoUser := "" -}}
{{- if $facts.owner -}}
{{- $mongoUser = .Values.mongo.user -}}
{{- end -}}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: CHAPAR_LISTEN
  value: 0.0.0.0:7400
- name: CHAPAR_METRICS_LISTEN
  value: 0.0.0.0:7402
- name: CHAPAR_HEALTH_LISTEN
  value: 0.0.0.0:7403
{{- if $facts.owner }}
- name: CHAPAR_ADVERTISE
  value: $(POD_IP):7400
{{- else }}
- name: CHAPAR_OPERATOR_LISTEN
  value: 0.0.0.0:7401
{{- end }}
{{- if ne .Values.tls.source "none" }}
- name: CHAPAR_TLS_CERT
  value: /run/chapar/tls/tls.crt
- name: CHAPAR_TLS_KEY
  value: /run/chapar/tls/tls.key
- name: CHAPAR_TLS_CA
  value: /run/chapar/tls/ca.crt
{{- end }}
{{- if .Values.publicTls }}
{{- if ne .Values.publicTls.source "none" }}
- name: CHAPAR_PUBLIC_TLS_CERT
  value: /run/chapar/public-tls/tls.crt
- name: CHAPAR_PUBLIC_TLS_KEY
  value: /run/chapar/public-tls/tls.key
{{- end }}
{{- end }}
{{- with .Values.otlp }}
{{- if .address }}
- name: CHAPAR_OTLP
  value: {{ .address | quote }}
{{- if .ca.secretName }}
- name: CHAPAR_OTLP_CA
  value: /run/chapar/otlp/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{ include "chapar.dependencies" (dict "context" . "kafkaUser" .Values.kafka.user "mongoUser" $mongoUser) }}
{{- end -}}
