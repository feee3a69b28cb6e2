{{- define "sut.pod" -}}
metadata:
  labels:
    app: {{ .Release.Name }}
    helmexec-e2e/ready-after: {{ .Values.readyAfter }}
    {{- with .Values.goneAfter }}
    helmexec-e2e/gone-after: {{ . }}
    {{- end }}
    {{- with .Values.fault }}
    helmexec-e2e/fault: {{ . }}
    {{- end }}
spec:
  containers:
    - name: main
      image: {{ .Values.image }}
      {{- if .Values.gpus }}
      resources:
        limits:
          nvidia.com/gpu: {{ .Values.gpus }}
      {{- end }}
{{- end }}
