{{/* The processes of a service. Why a Deployment: docs/adr/0024. */}}

{{/* How long the process may take to end: calls turn away, partitions are handed over, calls under way end. */}}
{{- define "chapar.endSeconds" -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $end := $facts.endSeconds | int -}}
{{- if not $facts.owner -}}
{{- $end = add $end (div (add (.Values.settings.drainGraceMs | int) 999) 1000) -}}
{{- end -}}
{{ add $end (.Values.preStopSeconds | int) }}
{{- end -}}

{{/* Health by gRPC on a port of its own: the kubelet speaks no TLS. */}}
{{- define "chapar.probes" -}}
startupProbe:
  grpc:
    port: 7403
    service: live
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ div (add (.Values.startupSeconds | int) 1) 2 }}
livenessProbe:
  grpc:
    port: 7403
    service: live
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  grpc:
    port: 7403
    service: ready
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{- define "chapar.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "chapar.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
{{- end -}}

{{- define "chapar.resources" -}}
requests:
  cpu: {{ .Values.resources.requests.cpu | quote }}
  memory: {{ .Values.resources.requests.memory }}
limits:
  {{- with .Values.resources.limits.cpu }}
  cpu: {{ . | quote }}
  {{- end }}
  memory: {{ .Values.resources.limits.memory }}
{{- end -}}

{{- define "chapar.deployment" -}}
{{- include "chapar.check" . -}}
{{- $facts := include "chapar.facts" . | fromYaml -}}
{{- $values := .Values -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
spec:
  {{- if eq $values.autoscaling.kind "none" }}
  replicas: {{ $values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  minReadySeconds: 5
  progressDeadlineSeconds: 1800
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "chapar.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "chapar.selector" . | nindent 8 }}
        app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
        {{- with $values.pod.labels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ $facts.service }}
        {{- if eq $values.secrets.source "inline" }}
        chapar/secrets: {{ $values.secrets.inline | toJson | sha256sum }}
        {{- end }}
        {{- with $values.pod.annotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "chapar.fullname" . }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with $values.pod.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      securityContext:
        {{- include "chapar.podSecurity" . | nindent 8 }}
      terminationGracePeriodSeconds: {{ include "chapar.endSeconds" . }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: topology.kubernetes.io/zone
          whenUnsatisfiable: {{ $values.spread.zones }}
          labelSelector:
            matchLabels:
              {{- include "chapar.selector" . | nindent 14 }}
          matchLabelKeys:
            - pod-template-hash
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: {{ $values.spread.nodes }}
          labelSelector:
            matchLabels:
              {{- include "chapar.selector" . | nindent 14 }}
          matchLabelKeys:
            - pod-template-hash
      {{- with $values.pod.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.pod.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ $facts.service }}
          image: {{ include "chapar.image" . }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          env:
            {{- include "chapar.environment" . | nindent 12 }}
          ports:
            - name: grpc
              containerPort: 7400
            {{- if not $facts.owner }}
            - name: operators
              containerPort: 7401
            {{- end }}
            - name: metrics
              containerPort: 7402
            - name: health
              containerPort: 7403
          {{- include "chapar.probes" . | nindent 10 }}
          {{- if $values.preStopSeconds }}
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $values.preStopSeconds }}
          {{- end }}
          resources:
            {{- include "chapar.resources" . | nindent 12 }}
          securityContext:
            {{- include "chapar.containerSecurity" . | nindent 12 }}
          volumeMounts:
            {{- include "chapar.secretMounts" . | nindent 12 }}
      volumes:
        {{- include "chapar.secretVolumes" . | nindent 8 }}
{{- end -}}

{{- define "chapar.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{- define "chapar.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "chapar.metadata" (dict "context" .) | nindent 2 }}
spec:
  maxUnavailable: {{ .Values.disruption.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "chapar.selector" . | nindent 6 }}
{{- end -}}
