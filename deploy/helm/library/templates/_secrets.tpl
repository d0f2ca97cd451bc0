{{/* Secrets and certificates: where files come from, and the objects that make them. */}}

{{/* Files that the service's own Secret must have; passwords are elsewhere where values say so. */}}
{{- define "chapar.secretFiles" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $files := $facts.secrets -}}
{{- if not (include "chapar.kafkaPasswordSecret" .) -}}
{{- $files = append $files "kafka.password" -}}
{{- end -}}
{{- if and $facts.owner (not .Values.mongo.passwordSecret.name) -}}
{{- $files = append $files "mongo.password" -}}
{{- end -}}
{{ toYaml $files }}
{{- end -}}

{{/* The Secret of the brokers' password; empty where it is among the service's own. Strimzi calls its own after the user. */}}
{{- define "chapar.kafkaPasswordSecret" -}}
{{- $kafka := .Values.kafka -}}
{{- if $kafka.passwordSecret.name -}}
{{ $kafka.passwordSecret.name }}
{{- else if .Values.strimzi.user -}}
{{ $kafka.user }}
{{- end -}}
{{- end -}}

{{- define "chapar.secretVolumes" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $values := .Values -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ $values.secrets.secretName }}
          items:
            {{- range include "chapar.secretFiles" . | fromYamlArray }}
            - key: {{ . }}
              path: {{ . }}
            {{- end }}
      {{- with include "chapar.kafkaPasswordSecret" . }}
      - secret:
          name: {{ . }}
          items:
            - key: {{ $values.kafka.passwordSecret.key }}
              path: kafka.password
      {{- end }}
      {{- if and $facts.owner $values.mongo.passwordSecret.name }}
      - secret:
          name: {{ $values.mongo.passwordSecret.name }}
          items:
            - key: {{ $values.mongo.passwordSecret.key }}
              path: mongo.password
      {{- end }}
{{- if ne $values.tls.source "none" }}
- name: tls
  secret:
    secretName: {{ $values.tls.secretName }}
    defaultMode: 0440
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- if $values.publicTls }}
{{- if ne $values.publicTls.source "none" }}
- name: public-tls
  secret:
    secretName: {{ $values.publicTls.secretName }}
    defaultMode: 0440
    items:
      - key: tls.crt
        path: tls.crt
      - key: tls.key
        path: tls.key
{{- end }}
{{- end }}
{{- with .Values.otlp }}
{{- if and .address .ca.secretName }}
- name: otlp-ca
  secret:
    secretName: {{ .ca.secretName }}
    defaultMode: 0444
    items:
      - key: {{ .ca.key }}
        path: ca.crt
{{- end }}
{{- end }}
{{- include "chapar.caVolumes" . }}
{{- end -}}

{{/* The certificates of brokers and database, for processes and for the Job that prepares them. */}}
{{- define "chapar.caVolumes" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- with .Values.kafka.ca }}
{{- if .secretName }}
- name: kafka-ca
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0444
    items:
      - key: {{ .key }}
        path: ca.crt
{{- end }}
{{- end }}
{{- if $facts.owner }}
{{- with .Values.mongo.ca }}
{{- if .secretName }}
- name: mongo-ca
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0444
    items:
      - key: {{ .key }}
        path: ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "chapar.caMounts" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- if .Values.kafka.ca.secretName }}
- name: kafka-ca
  mountPath: /run/chapar/kafka
  readOnly: true
{{- end }}
{{- if $facts.owner }}
{{- if .Values.mongo.ca.secretName }}
- name: mongo-ca
  mountPath: /run/chapar/mongo
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "chapar.secretMounts" -}}
- name: secrets
  mountPath: /run/chapar/secrets
  readOnly: true
{{- if and .Values.otlp.address .Values.otlp.ca.secretName }}
- name: otlp-ca
  mountPath: /run/chapar/otlp
  readOnly: true
{{- end }}
{{- if ne .Values.tls.source "none" }}
- name: tls
  mountPath: /run/chapar/tls
  readOnly: true
{{- end }}
{{- if .Values.publicTls }}
{{- if ne .Values.publicTls.source "none" }}
- name: public-tls
  mountPath: /run/chapar/public-tls
  readOnly: true
{{- end }}
{{- end }}
{{- include "chapar.caMounts" . }}
{{- end -}}

{{- define "chapar.secret" -}}
{{- if eq .Values.secrets.source "inline" }}
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Values.secrets.secretName }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chapar.labels" (dict "context" . "component" "server") | nindent 4 }}
type: Opaque
stringData:
  {{- range $file, $content := .Values.secrets.inline }}
  {{ $file }}: {{ $content | quote }}
  {{- end }}
{{- else if eq .Values.secrets.source "external" }}
{{- $external := .Values.secrets.external }}
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: {{ .Values.secrets.secretName }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chapar.labels" (dict "context" . "component" "server") | nindent 4 }}
spec:
  refreshInterval: {{ $external.refreshInterval }}
  secretStoreRef:
    name: {{ $external.store }}
    kind: {{ $external.storeKind }}
  target:
    name: {{ .Values.secrets.secretName }}
    creationPolicy: Owner
    deletionPolicy: Retain
  data:
    {{- range include "chapar.secretFiles" . | fromYamlArray }}
    - secretKey: {{ . }}
      remoteRef:
        key: {{ $external.key }}
        property: {{ . }}
    {{- end }}
{{- end }}
{{- end -}}

{{/* The process's certificate, by which peers know it: only its name SERVICE.chapar is looked at. */}}
{{- define "chapar.certificate" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- if eq .Values.tls.source "certManager" }}
{{- $asked := .Values.tls.certManager }}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .Values.tls.secretName }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chapar.labels" (dict "context" . "component" "server") | nindent 4 }}
spec:
  secretName: {{ .Values.tls.secretName }}
  dnsNames:
    - {{ $facts.service }}.chapar
  duration: {{ $asked.duration }}
  renewBefore: {{ $asked.renewBefore }}
  privateKey:
    algorithm: ECDSA
    size: 256
    rotationPolicy: Always
  usages:
    - digital signature
    - server auth
    - client auth
  issuerRef:
    group: cert-manager.io
    kind: {{ $asked.issuerKind }}
    name: {{ $asked.issuer }}
{{- end }}
{{- end -}}

{{- define "chapar.publicCertificate" -}}
{{- if eq .Values.publicTls.source "certManager" }}
{{- $asked := .Values.publicTls.certManager }}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  name: {{ .Values.publicTls.secretName }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chapar.labels" (dict "context" . "component" "server") | nindent 4 }}
spec:
  secretName: {{ .Values.publicTls.secretName }}
  dnsNames:
    {{- toYaml $asked.dnsNames | nindent 4 }}
  privateKey:
    algorithm: ECDSA
    size: 256
    rotationPolicy: Always
  usages:
    - digital signature
    - server auth
  issuerRef:
    group: cert-manager.io
    kind: {{ $asked.issuerKind }}
    name: {{ $asked.issuer }}
{{- end }}
{{- end -}}
