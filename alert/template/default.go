package template

// Title is the line that channels with a title use.
const Title = `[{{upper .Status}}] {{.Severity}}: {{.Name}}{{with .Handler}} ({{.}}){{end}}`

// Text is the default of channels for plain text. Handler, topic, key, error,
// count and link have a line each where there is something to say.
const Text = `[{{upper .Status}}] {{.Severity}}: {{.Name}}
{{- with .Summary}}
{{.}}{{end}}
{{- with .Handler}}
Handler: {{.}}{{end}}
{{- with .Topic}}
Topic: {{.}}{{end}}
{{- with .Key}}
Key: {{.}}{{end}}
{{- with .Error}}
Error: {{.}}{{end}}
{{- if .Count}}
Count: {{.Count}}{{if not .First.IsZero}}, first {{time .First}}, last {{time .Last}}{{end}}{{end}}
{{- range $name, $value := .Labels}}
{{$name}}: {{$value}}{{end}}
{{- with .Link}}
Link: {{.}}{{end}}
{{- if gt (len .Samples) 1}}
Samples:{{range .Samples}}
- {{time .At}} {{.Key}}: {{.Error}}{{end}}{{end}}
{{- if .Digest}}
Held back:{{range .Digest}}
- [{{upper .Status}}] {{.Severity}}: {{.Name}}{{with .Handler}} ({{.}}){{end}}, {{.Count}} times{{end}}{{end}}
{{- with .Omitted}}
and {{.}} more{{end}}`
