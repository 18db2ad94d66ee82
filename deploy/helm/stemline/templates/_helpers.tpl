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

{{- /* Variables of a component that are known here, as YAML: dict root, v. Later ones count; of others only the source. */ -}}
{{- define "stemline.variables" -}}
{{- $found := deepCopy .root.Values.settings -}}
{{- range $name, $value := .v.settings | default dict }}{{ $_ := set $found $name $value }}{{ end -}}
{{- range (include "stemline.options" . | fromYaml).extraEnv -}}
{{- $_ := set $found .name (hasKey . "valueFrom" | ternary .valueFrom (.value | default "" | toString)) -}}
{{- end -}}
{{ $found | toYaml }}
{{- end -}}

{{- /*
How many jobs a pod of a pool does at once: dict root, v, component. As the worker reads it: the last variable counts, 0 is
the default. Empty where extraEnv takes it from elsewhere; a pool that is scaled by it needs the number.
*/ -}}
{{- define "stemline.concurrency" -}}
{{- $name := "STEMLINE_WORKER_CONCURRENCY" -}}
{{- $found := 0 -}}
{{- range list .root.Values.settings (dict $name .v.concurrency) (.v.settings | default dict) -}}
{{- with get . $name }}{{ $found = . }}{{ end -}}
{{- end -}}
{{- range (include "stemline.options" . | fromYaml).extraEnv -}}
{{- if eq .name $name }}{{ $found = hasKey . "valueFrom" | ternary "" .value }}{{ end -}}
{{- end -}}
{{- if regexMatch "^[0-9]+$" (toString $found) -}}
{{ int $found | default (eq .v.device "cuda" | ternary 8 1) }}
{{- else if or .v.scaling.enabled (ne $found "") -}}
{{- fail (printf "%s: %s has to be a number, by which the pool is scaled" .component $name) -}}
{{- end -}}
{{- end -}}

{{- /* How long a running job of a pool may continue after a stop, s: dict root, v, component. By default the longest job. */ -}}
{{- define "stemline.graceSeconds" -}}
{{- if hasKey .v "graceSeconds" -}}
{{ .v.graceSeconds }}
{{- else -}}
{{- $variables := include "stemline.variables" . | fromYaml -}}
{{- $longest := $variables.STEMLINE_JOB_TIME_LIMIT_S | default "21600" -}}
{{- $models := $variables.STEMLINE_MODEL_TIME_LIMITS_S | default "{}" -}}
{{- if or (kindIs "map" $models) (not (regexMatch "^[0-9]+([.][0-9]*)?$" (toString $longest))) -}}
{{- fail (printf "%s: the limits of jobs are not known here: set graceSeconds" .component) -}}
{{- end -}}
{{- range $models | fromJson }}{{ $longest = maxf $longest . }}{{ end -}}
{{ ceil $longest | int64 }}
{{- end -}}
{{- end -}}

{{- /*
Variables of a container, each name once: dict of (root, v, component), needs and may (keys of the Secret), fixed (values
of the chart), defaults (for what the settings leave open). Of a name that comes again the last counts: those of a pool's
settings, then those of extraEnv.
*/ -}}
{{- define "stemline.env" -}}
{{- $of := .of -}}
{{- $settings := $of.root.Values.settings -}}
{{- $variables := include "stemline.variables" $of | fromYaml -}}
{{- $all := include "stemline.secrets" (dict "root" $of.root "needs" .needs "may" .may "given" (keys $variables)) | fromYamlArray -}}
{{- range $name, $value := .defaults | default dict -}}
{{- if not (hasKey $settings $name) }}{{ $all = append $all (dict "name" $name "value" $value) }}{{ end -}}
{{- end -}}
{{- range $name, $value := .fixed | default dict -}}
{{- $all = append $all (dict "name" $name "value" (toString $value)) -}}
{{- end -}}
{{- range $name, $value := omit ($of.v.settings | default dict) "STEMLINE_WORKER_CONCURRENCY" -}}
{{- $all = append $all (dict "name" $name "value" $value) -}}
{{- end -}}
{{- $extra := (include "stemline.options" $of | fromYaml).extraEnv -}}
{{- $names := keys ($of.v.settings | default dict) | sortAlpha -}}
{{- range $extra }}{{ $names = append $names .name }}{{ end -}}
{{- include "stemline.refuse" (dict "where" (printf "settings or extraEnv of %s" $of.component) "names" $names) -}}
{{- $last := dict -}}
{{- $kept := list -}}
{{- range concat $all $extra | reverse -}}
{{- if not (hasKey $last .name) }}{{ $_ := set $last .name true }}{{ $kept = prepend $kept . }}{{ end -}}
{{- end -}}
{{ $kept | toYaml }}
{{- end -}}

{{- /* Refuse variables that a value of the chart decides, so that they would have no effect: dict where, names. */ -}}
{{- define "stemline.refuse" -}}
{{- $owners := dict "STEMLINE_METRICS_PORT" "metrics.port" "STEMLINE_DEVICE" "workers.POOL.device" "STEMLINE_WORKER_LEVELS" "workers.POOL.levels" "STEMLINE_WORKER_GRACE_S" "workers.POOL.graceSeconds" "STEMLINE_SCRATCH_BYTES" "workers.POOL.scratchSize" "STEMLINE_ALIVE_FILE" "nothing: the images and the probes agree on it" -}}
{{- $where := .where -}}
{{- range .names -}}
{{- if hasKey $owners . }}{{ fail (printf "%s: %s has no effect there; set %s" $where . (get $owners .)) }}{{ end -}}
{{- end -}}
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
{{- /* A pool may name these twice: its own `pods` counts, also where it is empty, then the pool, then `pods` of all. */}}
{{- $v := .v -}}
{{- range $name := list "nodeSelector" "tolerations" }}
{{- with hasKey ($v.pods | default dict) $name | ternary (get $options $name) (get $v $name | default (get $options $name)) }}
{{ $name }}: {{ . | toJson }}
{{- end }}
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

{{- /* Further mounts and volumes of a component: dict root, v. */ -}}
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

{{- /* Variables from the Secret: dict root, needs (required keys), may (optional keys), given (other variables, which may name a file instead). */ -}}
{{- define "stemline.secrets" -}}
{{- $secret := include "stemline.secret" .root -}}
{{- $given := .given -}}
{{- $files := .root.Values.secret.files -}}
{{- range .needs }}
{{- if and $files (has . (list "STEMLINE_BUCKETS" "STEMLINE_CREDENTIALS")) }}
- { name: {{ . }}_FILE, value: /etc/stemline/{{ . | trimPrefix "STEMLINE_" | lower }}.json }
{{- else }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $secret | quote }}, key: {{ . }}{{ if has (printf "%s_FILE" .) $given }}, optional: true{{ end }} } }
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
