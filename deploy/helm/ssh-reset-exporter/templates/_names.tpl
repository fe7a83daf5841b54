{{- define "ssh-reset-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "ssh-reset-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "ssh-reset-exporter.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "ssh-reset-exporter.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ssh-reset-exporter.selector" -}}
app.kubernetes.io/name: {{ include "ssh-reset-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ssh-reset-exporter.labels" -}}
{{ include "ssh-reset-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "ssh-reset-exporter.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "ssh-reset-exporter.serviceAccountName" -}}
{{- default (ternary (include "ssh-reset-exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* A file of the kit with the links of this installation. Its own braces are Prometheus' and Grafana's: it is no template. */}}
{{- define "ssh-reset-exporter.file" -}}
{{- .root.Files.Get .path
      | replace "https://runbooks.example.org/ssh-reset-exporter" .root.Values.links.runbooks
      | replace "https://grafana.example.org" .root.Values.links.grafana -}}
{{- end -}}

{{/* What either monitor scrapes. */}}
{{- define "ssh-reset-exporter.endpoints" -}}
- port: metrics
  interval: {{ .Values.scrape.interval }}
  scrapeTimeout: {{ .Values.scrape.timeout }}
  scheme: {{ .Values.webConfig.scheme }}
  {{- with .Values.scrape.tlsConfig }}
  tlsConfig: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.scrape.basicAuth }}
  basicAuth: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.scrape.relabelings }}
  relabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.scrape.metricRelabelings }}
  metricRelabelings: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
