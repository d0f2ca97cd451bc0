{{/* Topics and user as objects of the Strimzi operator: what `topics apply` makes, and what the process may do with it. */}}

{{/* One topic; takes (dict "context" . "topic" (dict "name" "partitions" "keptMs" "compacted")). */}}
{{- define "chapar.kafkaTopic" -}}
{{- $values := .context.Values -}}
{{- $topic := .topic -}}
{{- $copies := $values.kafka.replicas | int -}}
apiVersion: kafka.strimzi.io/v1
kind: KafkaTopic
metadata:
  name: {{ $topic.name }}
  namespace: {{ .context.Release.Namespace }}
  labels:
    strimzi.io/cluster: {{ $values.strimzi.cluster }}
    {{- include "chapar.labels" (dict "context" .context "component" "topic") | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
spec:
  topicName: {{ $topic.name }}
  partitions: {{ $topic.partitions }}
  replicas: {{ $copies }}
  config:
    cleanup.policy: {{ ternary "compact" "delete" ($topic.compacted | default false) }}
    retention.ms: {{ $topic.keptMs | default "-1" | toString | quote }}
    retention.bytes: "-1"
    message.timestamp.type: LogAppendTime
    max.message.bytes: "1024000"
    min.insync.replicas: {{ max 1 (sub $copies 1) | quote }}
    unclean.leader.election.enable: "false"
    {{- with $topic.keptMs }}
    segment.ms: {{ max 60000 (div (int .) 4) | quote }}
    {{- end }}
{{- end -}}

{{- define "chapar.kafkaTopics" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- if .Values.strimzi.topics }}
{{- range $topic := $facts.topics }}
{{- $partitions := $topic.partitions | default $.Values.settings.partitions | int }}
{{- $config := dict "name" $topic.name "partitions" $partitions "compacted" $topic.compacted }}
{{- with $topic.keptMs }}
{{- $_ := set $config "keptMs" (int .) }}
{{- end }}
---
{{ include "chapar.kafkaTopic" (dict "context" $ "topic" $config) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "chapar.kafkaUser" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- if .Values.strimzi.user }}
apiVersion: kafka.strimzi.io/v1
kind: KafkaUser
metadata:
  name: {{ .Values.kafka.user }}
  namespace: {{ .Release.Namespace }}
  labels:
    strimzi.io/cluster: {{ .Values.strimzi.cluster }}
    {{- include "chapar.labels" (dict "context" . "component" "user") | nindent 4 }}
spec:
  authentication:
    type: scram-sha-512
  authorization:
    type: simple
    acls:
      {{- range $facts.topics }}
      - resource:
          type: topic
          name: {{ .name }}
          patternType: literal
        host: "*"
        operations:
          - Describe
          - DescribeConfigs
          - Read
          - Write
      {{- end }}
      {{- range $facts.reads }}
      - resource:
          type: topic
          name: {{ . }}
          patternType: literal
        host: "*"
        operations:
          - Describe
          - Read
      {{- end }}
{{- end }}
{{- end -}}
