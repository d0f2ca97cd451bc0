{{/* What things are called. Every template takes the context of the service's own chart. */}}

{{/* What the chart knows of its service that no value changes. */}}
{{- define "chapar.facts" -}}
{{ .Files.Get "facts.yaml" }}
{{- end -}}

{{- define "chapar.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{/* What a service's processes are found by, whatever the release is called. */}}
{{- define "chapar.processes" -}}
app.kubernetes.io/name: chapar-{{ . }}
app.kubernetes.io/part-of: chapar
app.kubernetes.io/component: server
{{- end -}}

{{- define "chapar.selector" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{ include "chapar.processes" $facts.service }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* What all objects carry; takes (dict "context" . "component" "server"). */}}
{{- define "chapar.labels" -}}
{{- $facts := include "chapar.facts" .context | fromYaml -}}
app.kubernetes.io/name: chapar-{{ $facts.service }}
app.kubernetes.io/part-of: chapar
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/instance: {{ .context.Release.Name | quote }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The head of an object; takes (dict "context" . "name" ""), the name being what follows the full one. */}}
{{- define "chapar.metadata" -}}
name: {{ printf "%s%s" (include "chapar.fullname" .context) (.name | default "") }}
namespace: {{ .context.Release.Namespace }}
labels:
  {{- include "chapar.labels" (dict "context" .context "component" (.component | default "server")) | nindent 2 }}
{{- end -}}

{{/* The image, by digest where one is given. */}}
{{- define "chapar.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* Refuses values that would be refused by the process, or would leave it open. */}}
{{- define "chapar.check" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $values := .Values -}}
{{- if and (eq $values.tls.source "none") (not $values.settings.development) -}}
{{- fail "tls.source none is for settings.development only: processes of other machines are not spoken to in the clear" -}}
{{- end -}}
{{- if and $values.publicTls (not $values.settings.development) -}}
{{- if eq $values.publicTls.source "none" -}}
{{- fail "publicTls.source none is for settings.development only: clients are not spoken to in the clear" -}}
{{- end -}}
{{- end -}}
{{- if gt ($values.autoscaling.min | int) ($values.autoscaling.max | int) -}}
{{- fail "autoscaling.min must not be more than autoscaling.max" -}}
{{- end -}}
{{- if and $values.strimzi.user (eq $values.kafka.user $values.secrets.secretName) -}}
{{- fail "secrets.secretName must not be kafka.user: Strimzi writes the Secret of a KafkaUser, and what was in it is lost" -}}
{{- end -}}
{{- if eq $values.secrets.source "inline" -}}
{{- range $file := include "chapar.secretFiles" . | fromYamlArray -}}
{{- if not (hasKey $values.secrets.inline $file) -}}
{{- fail (printf "secrets.inline must have %s" $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $values.publicTls -}}
{{- if and (eq $values.publicTls.source "certManager") (not $values.publicTls.certManager.dnsNames) -}}
{{- fail "publicTls.certManager.dnsNames must name what clients call" -}}
{{- end -}}
{{- if $values.route.enabled -}}
{{- if not $values.route.parents -}}
{{- fail "route.parents must name a Gateway" -}}
{{- end -}}
{{- if not $values.route.hostnames -}}
{{- fail "route.hostnames must name what clients call" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.secrets.source "external") (not $values.secrets.external.store) -}}
{{- fail "secrets.external.store must name a store" -}}
{{- end -}}
{{- end -}}
