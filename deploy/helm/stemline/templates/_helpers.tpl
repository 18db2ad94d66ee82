{{- /* The beginning of all names. Names of Services have no dots, and begin with a letter. */ -}}
{{- define "stemline.name" -}}
{{- $name := .Release.Name | replace "." "-" | trunc 40 | trimSuffix "-" -}}
{{ regexMatch "^[a-z]" $name | ternary $name (printf "stemline-%s" $name) }}
{{- end -}}

{{- define "stemline.account" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "stemline.name" .) "default") }}
{{- end -}}

{{- define "stemline.secret" -}}
{{ .Values.secret.existing | default (include "stemline.name" .) }}
{{- end -}}

{{- /* What jobs may take of a pool's scratch volume, bytes: 95 %, since a pod above its limit is evicted. */ -}}
{{- define "stemline.scratchBytes" -}}
{{- $unit := get (dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) (regexFind "[MGT]i$" .scratchSize) -}}
{{ div (mul (regexFind "^[0-9]+" .scratchSize | int64) $unit 95) 100 }}
{{- end -}}

{{- /* Labels that select a component: dict root, component. */ -}}
{{- define "stemline.selector" -}}
app.kubernetes.io/name: stemline
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end -}}

{{- /* Labels of the pod of `helm test`, to which no policy of the chart applies. */ -}}
{{- define "stemline.testSelector" -}}
app.kubernetes.io/name: stemline-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{- /*
Options of a component's pods as YAML: dict root, v (values), component. Its own replace those of `pods`, also where they
are empty; variables, mounts and volumes come beside those of `pods`, where they have other names.
*/ -}}
{{- define "stemline.options" -}}
{{- $options := deepCopy .root.Values.pods -}}
{{- $keys := dict "extraEnv" "name" "extraVolumeMounts" "mountPath" "extraVolumes" "name" -}}
{{- range $name, $own := .v.pods | default dict -}}
{{- if hasKey $keys $name -}}
{{- $key := get $keys $name -}}
{{- $taken := list -}}
{{- range $own }}{{ $taken = append $taken (get . $key) }}{{ end -}}
{{- $all := list -}}
{{- range get $options $name }}{{ if not (has (get . $key) $taken) }}{{ $all = append $all . }}{{ end }}{{ end -}}
{{- $_ := set $options $name (concat $all $own) -}}
{{- else if eq $name "disruptionBudget" -}}
{{- range $field, $value := $own }}{{ $_ := set $options.disruptionBudget $field $value }}{{ end -}}
{{- else -}}
{{- $_ := set $options $name $own -}}
{{- end -}}
{{- end -}}
{{ $options | toYaml }}
{{- end -}}

{{- /* How many jobs a pod of a pool does at once: dict root, v. As the worker reads it: the last variable counts. */ -}}
{{- define "stemline.concurrency" -}}
{{- $found := 0 -}}
{{- $own := dict "STEMLINE_WORKER_CONCURRENCY" .v.concurrency -}}
{{- range list .root.Values.settings $own (.v.settings | default dict) -}}
{{- with .STEMLINE_WORKER_CONCURRENCY }}{{ $found = . }}{{ end -}}
{{- end -}}
{{- range (include "stemline.options" . | fromYaml).extraEnv -}}
{{- if eq .name "STEMLINE_WORKER_CONCURRENCY" }}{{ $found = .value }}{{ end -}}
{{- end -}}
{{ int $found | default (eq .v.device "cuda" | ternary 8 1) }}
{{- end -}}

{{- /* Annotations of pods: dict root, v. */ -}}
{{- define "stemline.annotations" -}}
{{- with (include "stemline.options" . | fromYaml).annotations }}
{{ toYaml . }}
{{- end }}
checksum/config: {{ include "stemline.checksum" .root }}
{{- end -}}

{{- /* Fields that all pods share: dict root, v, component. */ -}}
{{- define "stemline.pod" -}}
{{- $options := include "stemline.options" . | fromYaml -}}
{{- $component := .component -}}
{{- $root := .root -}}
{{- with $options.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $options.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with $options.affinity }}
affinity: {{ . | toJson }}
{{- end }}
{{- with .v.nodeSelector | default $options.nodeSelector }}
nodeSelector: {{ . | toJson }}
{{- end }}
{{- with .v.tolerations | default $options.tolerations }}
tolerations: {{ . | toJson }}
{{- end }}
{{- if $options.topologySpread }}
topologySpreadConstraints:
{{- range $options.topologySpread }}
  - maxSkew: {{ .maxSkew | default 1 }}
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: {{ .whenUnsatisfiable | default "ScheduleAnyway" }}
    labelSelector:
      matchLabels:
        {{- include "stemline.selector" (dict "root" $root "component" $component) | nindent 8 }}
{{- end }}
{{- end }}
{{- with .root }}
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
{{- end }}
{{- end -}}

{{- /* Further variables, mounts and volumes of a component: dict root, v. */ -}}
{{- define "stemline.extraEnv" -}}
{{- with (include "stemline.options" . | fromYaml).extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- define "stemline.extraMounts" -}}
{{- $options := include "stemline.options" . | fromYaml -}}
{{- $volumes := list "tmp" -}}
{{- range $options.extraVolumes }}{{ $volumes = append $volumes .name }}{{ end -}}
{{- if hasPrefix "worker-" .component }}{{ $volumes = append $volumes "scratch" }}{{ end -}}
{{- if .v.modelsClaim }}{{ $volumes = append $volumes "models" }}{{ end -}}
{{- if .root.Values.secret.files }}{{ $volumes = append $volumes "tenants" }}{{ end -}}
{{- range $options.extraVolumeMounts -}}
{{- if not (has .name $volumes) }}{{ fail (printf "pods of %s mount %q at %s, but no volume in extraVolumes has this name" $.component .name .mountPath) }}{{ end -}}
{{- end -}}
{{- with $options.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- define "stemline.extraVolumes" -}}
{{- with (include "stemline.options" . | fromYaml).extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Settings, mount and volume of the files of tenants: root. */ -}}
{{- define "stemline.fileMount" -}}
{{- if .Values.secret.files }}
- { name: tenants, mountPath: /etc/stemline, readOnly: true }
{{- end }}
{{- end -}}
{{- define "stemline.fileVolume" -}}
{{- if .Values.secret.files }}
- { name: tenants, secret: { secretName: {{ .Values.secret.files | quote }}, defaultMode: 0440 } }
{{- end }}
{{- end -}}

{{- /* The disruption budget of a component: dict root, v, component, name. */ -}}
{{- define "stemline.budget" -}}
{{- $budget := (include "stemline.options" . | fromYaml).disruptionBudget -}}
{{- $own := (.v.pods | default dict).disruptionBudget | default dict -}}
{{- if $budget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  labels:
    {{- include "stemline.labels" . | nindent 4 }}
spec:
  {{- if and (hasKey $budget "minAvailable") (or (hasKey $own "minAvailable") (not (hasKey $own "maxUnavailable"))) }}
  minAvailable: {{ $budget.minAvailable }}
  {{- else }}
  maxUnavailable: {{ $budget.maxUnavailable }}
  {{- end }}
  {{- with $budget.unhealthyPodEvictionPolicy }}
  unhealthyPodEvictionPolicy: {{ . }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "stemline.selector" . | nindent 6 }}
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
{{- $files := .root.Values.secret.files -}}
{{- range .needs }}
{{- if and $files (has . (list "STEMLINE_BUCKETS" "STEMLINE_CREDENTIALS")) }}
- { name: {{ . }}_FILE, value: /etc/stemline/{{ . | trimPrefix "STEMLINE_" | lower }}.json }
{{- else }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret | quote }}, key: {{ . }} } }
{{- end }}
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
