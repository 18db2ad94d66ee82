{{- define "stemline.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}

{{- define "stemline.account" -}}
{{ .Values.serviceAccount.name | default (include "stemline.name" .) }}
{{- end -}}

{{- define "stemline.secret" -}}
{{ .Values.secret.existing | default (include "stemline.name" .) }}
{{- end -}}

{{- /* Labels that select a component: dict root, component. */ -}}
{{- define "stemline.selector" -}}
app.kubernetes.io/name: stemline
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end -}}

{{- define "stemline.labels" -}}
{{ include "stemline.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service | quote }}
{{- end -}}

{{- /* Full name of an image: dict root, image. */ -}}
{{- define "stemline.image" -}}
{{ printf "%sstemline-%s:%s" .root.Values.image.registry .image (.root.Values.image.tag | default .root.Chart.AppVersion) | quote }}
{{- end -}}

{{- /* Fields that all pods share: root. */ -}}
{{- define "stemline.pod" -}}
serviceAccountName: {{ include "stemline.account" . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- if .Values.image.pullSecrets }}
imagePullSecrets:
{{- range .Values.image.pullSecrets }}
  - name: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "stemline.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
{{- end -}}

{{- /* Variables from the Secret: dict root, needs (required keys), may (optional keys). */ -}}
{{- define "stemline.secrets" -}}
{{- $secret := include "stemline.secret" .root -}}
{{- range .needs }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret | quote }}, key: {{ . }} } }
{{- end }}
{{- range .may }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret | quote }}, key: {{ . }}, optional: true } }
{{- end }}
{{- end -}}

{{- /* An annotation of pods, so that they are replaced when their configuration changes. */ -}}
{{- define "stemline.checksum" -}}
{{ printf "%s%s" (.Values.settings | toJson) (.Values.secret.values | toJson) | sha256sum }}
{{- end -}}
