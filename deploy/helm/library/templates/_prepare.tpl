{{/* A Job before installation and upgrade: topics and database made ready by an operator's credentials. Its account and
its policy come before it, as hooks of a lower weight. */}}

{{- define "chapar.hookAnnotations" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "chapar.prepareContainer" -}}
{{- $context := .context -}}
{{- $prepare := $context.Values.prepare -}}
- name: {{ .name }}
  image: {{ include "chapar.image" $context }}
  imagePullPolicy: {{ $context.Values.image.pullPolicy }}
  args:
    {{- toYaml .arguments | nindent 4 }}
  env:
    {{- include "chapar.dependencies" (dict "context" $context "kafkaUser" $prepare.kafkaUser "mongoUser" $prepare.mongoUser) | nindent 4 }}
  resources:
    requests:
      cpu: 100m
      memory: 256Mi
    limits:
      memory: 256Mi
  securityContext:
    {{- include "chapar.containerSecurity" $context | nindent 4 }}
  volumeMounts:
    - name: secrets
      mountPath: /run/chapar/secrets
      readOnly: true
    {{- include "chapar.caMounts" $context | trim | nindent 4 }}
{{- end -}}

{{- define "chapar.prepare" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- if .Values.prepare.enabled }}
{{- $prepare := .Values.prepare }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "chapar.metadata" (dict "context" . "name" "-prepare" "component" "prepare") | nindent 2 }}
  annotations:
    {{- include "chapar.hookAnnotations" "-2" | nindent 4 }}
automountServiceAccountToken: false
{{- if .Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "chapar.metadata" (dict "context" . "name" "-prepare" "component" "prepare") | nindent 2 }}
  annotations:
    {{- include "chapar.hookAnnotations" "-2" | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: chapar-{{ $facts.service }}
      app.kubernetes.io/instance: {{ .Release.Name | quote }}
      app.kubernetes.io/component: prepare
  policyTypes:
    - Ingress
    - Egress
  egress:
    {{- include "chapar.dependencyEgress" . | nindent 4 }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  {{- include "chapar.metadata" (dict "context" . "name" "-prepare" "component" "prepare") | nindent 2 }}
  annotations:
    {{- include "chapar.hookAnnotations" "-1" | nindent 4 }}
spec:
  backoffLimit: 3
  activeDeadlineSeconds: {{ $prepare.seconds }}
  template:
    metadata:
      labels:
        {{- include "chapar.labels" (dict "context" . "component" "prepare") | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ include "chapar.fullname" . }}-prepare
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with .Values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        {{- include "chapar.podSecurity" . | nindent 8 }}
      {{- if not .Values.strimzi.topics }}
      initContainers:
        {{- include "chapar.prepareContainer" (dict "context" . "name" "topics" "arguments" (list "topics" "apply")) | nindent 8 }}
      {{- end }}
      containers:
        {{- include "chapar.prepareContainer" (dict "context" . "name" "database" "arguments" (list "database" "prepare")) | nindent 8 }}
      volumes:
        - name: secrets
          secret:
            secretName: {{ $prepare.secretName }}
            defaultMode: 0440
            items:
              {{- if not .Values.strimzi.topics }}
              - key: kafka.password
                path: kafka.password
              {{- end }}
              - key: mongo.password
                path: mongo.password
        {{- include "chapar.caVolumes" . | trim | nindent 8 }}
{{- end }}
{{- end -}}
