package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	texttemplate "text/template"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// Config of a Template. The zero value is ready to use.
type Config struct {
	// Escape is applied to every value, and not to the template's own text.
	// Default: values stay as they are.
	Escape func(string) string
	// Location is the time zone of all times. Default UTC.
	Location *time.Location
}

// Template writes texts. It is safe for concurrent use.
type Template struct {
	cfg      Config
	parsed   *texttemplate.Template
	fallback *texttemplate.Template
}

// New parses text, which must not be empty. Its errors name the field that is
// not known and the line in which it stands.
func New(text string, cfg Config) (*Template, error) {
	if cfg.Escape == nil {
		cfg.Escape = func(s string) string { return s }
	}
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the template is empty")
	}
	parsed, err := parseText(text)
	if err != nil {
		return nil, fmt.Errorf("the template does not parse: %w", err)
	}
	if err := check(parsed); err != nil {
		return nil, err
	}
	fallback, err := parseText(Text)
	if err != nil {
		return nil, fmt.Errorf("parse the default template: %w", err)
	}
	t := &Template{cfg: cfg, parsed: parsed, fallback: fallback}
	for _, n := range trials {
		out, err := t.execute(parsed, n, steps[0])
		if err != nil {
			return nil, fmt.Errorf("the template fails on %s: %w", describe(n), err)
		}
		if strings.TrimSpace(out) == "" {
			return nil, fmt.Errorf("the template writes nothing for %s", describe(n))
		}
	}
	return t, nil
}

func parseText(text string) (*texttemplate.Template, error) {
	return texttemplate.New("template").Option("missingkey=zero").Funcs(functions).Parse(text)
}

var functions = texttemplate.FuncMap{
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
	"time":  func(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") },
}

// Render writes n in at most limit. It always returns a text: where the
// template fails on n, which New could not foresee, it is that of Text.
func (t *Template) Render(n alert.Notification, limit Limit) string {
	limit = limit.withDefaults()
	var out string
	for _, b := range steps {
		if out = t.write(n, b); limit.fits(out) {
			return out
		}
	}
	least := steps[len(steps)-1]
	cut := limit.cut(out)
	if link := t.link(n); link == "" || !strings.Contains(out, link) || strings.Contains(cut, link) {
		return cut
	}
	least.noLink = true
	return Cut(t.write(n, least), limit)
}

func (t *Template) write(n alert.Notification, b bounds) string {
	out, err := t.execute(t.parsed, n, b)
	if err == nil {
		return out
	}
	if out, err = t.execute(t.fallback, n, b); err == nil {
		return out
	}
	return Line(n.Name, b.value)
}

// maxOutput bounds what a template may write, whatever it loops over.
const maxOutput = 1 << 20

var errFull = errors.New("it writes more than 1 MiB")

func (t *Template) execute(parsed *texttemplate.Template, n alert.Notification, b bounds) (string, error) {
	var out bytes.Buffer
	if err := parsed.Execute(capped{&out}, t.data(n, b)); err != nil {
		return "", fmt.Errorf("execute template: %w", err)
	}
	return strings.TrimSpace(out.String()), nil
}

type capped struct{ out *bytes.Buffer }

var _ io.Writer = capped{}

func (c capped) Write(p []byte) (int, error) {
	if c.out.Len()+len(p) > maxOutput {
		return 0, errFull
	}
	return c.out.Write(p)
}

// trials are what a template must be able to write before it is accepted: the
// most and the least that a notification can hold.
var trials = []alert.Notification{
	{
		Status: alert.Firing, Name: "name", Severity: alert.Critical, Handler: "handler", Topic: "topic", Summary: "summary",
		Count: 3, First: time.Unix(0, 0), Last: time.Unix(1, 0), Link: "https://example.com", Fingerprint: "f",
		Labels:  map[string]string{"label": "value"},
		Samples: []alert.Sample{{Key: "key", Reason: "error", At: time.Unix(1, 0)}},
		Digest:  []alert.Digest{{Status: alert.Firing, Name: "other", Severity: alert.Warning, Count: 2}},
	},
	{Status: alert.Firing, Name: "name", Severity: alert.Warning, Count: 1},
	{Status: alert.Resolved, Name: "name", Severity: alert.Warning},
}

func describe(n alert.Notification) string {
	switch {
	case n.Status == alert.Resolved:
		return "an alert that is resolved"
	case len(n.Samples) == 0:
		return "an alert without samples"
	default:
		return "an alert that fires"
	}
}

// NewField is New for the field of a configuration, which its errors name.
func NewField(field, text string, cfg Config) (*Template, error) {
	t, err := New(text, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return t, nil
}
