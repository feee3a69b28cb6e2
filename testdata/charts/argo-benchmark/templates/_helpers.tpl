{{/*
A name of at most "limit" characters for an object of the release: with a hash where it must be cut, so that two long
release names stay distinct.
*/}}
{{- define "argo-benchmark.name" -}}
{{- $name := .root.Release.Name -}}
{{- with .suffix }}{{ $name = printf "%s-%s" $name . }}{{ end -}}
{{- if gt (len $name) (int .limit) -}}
{{- printf "%s-%s" (trunc (int (sub .limit 9)) $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "argo-benchmark.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "argo-benchmark.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "argo-benchmark.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "argo-benchmark.image" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
