// Package sms sends alerts as short messages through any provider that has an
// HTTP API: what a request looks like is a template.
//
//	sms.New("https://api.example.com/messages", []string{"+4915112345678"}, sms.Config{
//		Header: http.Header{"Authorization": {"Bearer …"}},
//		Body:   `{"recipient": {{json .To}}, "content": {{json .Text}}}`,
//		Accept: `"status":"queued"`,
//	})
//
// Each recipient is one request. Where some were accepted before one failed, the
// next attempt at the same notification leaves them out.
package sms

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	texttemplate "text/template"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/httpsend"
	"github.com/sluicegate/sluicegate/alert/template"
)

// DefaultTemplate is the default of Config.Template.
const DefaultTemplate = `{{if .Firing}}{{.Severity}}{{else}}resolved{{end}} {{.Name}}{{with .Handler}} {{.}}{{end}}{{with .Topic}} {{.}}{{end}}{{if gt .Count 1}} x{{.Count}}{{end}}{{with .Key}} {{.}}{{end}}{{with .Link}} {{.}}{{end}}{{with .Error}} {{.}}{{end}}`

// DefaultBody is the default of Config.Body.
const DefaultBody = `{"to":{{json .To}},"text":{{json .Text}}}`

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Template is that of the text of the message. Default DefaultTemplate.
	Template string
	// Limit is how long the text may be, in UTF-16 units, as short messages count
	// outside of their 7-bit alphabet. Default 70: one message.
	Limit int
	// Method is GET, POST or PUT. Default POST.
	Method string
	// Body is the template of the request's body with {{.To}} and {{.Text}};
	// {{json .Text}} writes a JSON string, {{urlquery .Text}} escapes for a form.
	// Default DefaultBody; not sent with GET.
	Body string
	// Query holds templates of parameters that are added to the URL, escaped.
	Query map[string]string
	// Header is added to the requests; what is in it is never shown. Its
	// Content-Type is that of Body. Default application/json.
	Header http.Header
	// Accept is what the answer must contain besides its 2xx, for providers that
	// report failures with one. Default: nothing.
	Accept string
	// Location is the time zone of times. Default UTC.
	Location *time.Location
	// Timeout is of one request. Default 10 s.
	Timeout time.Duration
	// Client sends the requests; its redirects are off. Default: one of its own.
	Client *http.Client
	// Now is the clock that limits count from. Default time.Now.
	Now func() time.Time
}

// Channel is an alert.Sender. It is safe for concurrent use.
type Channel struct {
	http  *httpsend.Client
	cfg   Config
	to    []string
	text  *template.Template
	body  *texttemplate.Template
	query map[string]*texttemplate.Template

	mu   sync.Mutex
	last string          // the notification that was accepted in part
	done map[string]bool // its recipients that have it
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the API at url for the recipients to. The URL must be
// https, except to this machine.
func New(url string, to []string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{})
	errs := []error{err, httpsend.CheckHeader("Config.Header", cfg.Header)}
	cfg, err = cfg.withDefaults()
	errs = append(errs, err, checkRecipients(to))
	c := &Channel{cfg: cfg, to: slices.Clone(to), query: map[string]*texttemplate.Template{}, done: map[string]bool{}}
	secrets := httpsend.HeaderValues(cfg.Header)
	for name, value := range cfg.Query {
		if c.query[name], err = parse("Config.Query["+name+"]", value); err != nil {
			errs = append(errs, err)
		}
		if !strings.Contains(value, "{{") {
			secrets = append(secrets, value) // an API key, perhaps
		}
	}
	c.body, err = parse("Config.Body", cfg.Body)
	errs = append(errs, err)
	c.http, err = httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now, Secrets: secrets})
	errs = append(errs, err)
	c.text, err = template.NewField("Config.Template", cfg.Template, template.Config{Location: cfg.Location})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure sms channel: %w", err)
	}
	return c, nil
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	c.Template, c.Body = cmp.Or(c.Template, DefaultTemplate), cmp.Or(c.Body, DefaultBody)
	c.Method = cmp.Or(c.Method, http.MethodPost)
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut}, c.Method) {
		errs = append(errs, errors.New("Config.Method: it is not GET, POST or PUT"))
	}
	switch {
	case c.Limit == 0:
		c.Limit = 70
	case c.Limit < 20:
		errs = append(errs, fmt.Errorf("Config.Limit: %d is too short for any alert; use 20 or more, or 0 for 70", c.Limit))
	}
	c.Header = c.Header.Clone()
	return c, errors.Join(errs...)
}

func checkRecipients(to []string) error {
	if len(to) == 0 {
		return errors.New("to: there is no recipient")
	}
	var errs []error
	for i, number := range to {
		if strings.Trim(number, "+-() 0123456789") != "" || !strings.ContainsAny(number, "0123456789") {
			errs = append(errs, fmt.Errorf("to[%d]: it is not a telephone number", i))
		}
	}
	return errors.Join(errs...)
}

// request is what the templates of body and query see.
type request struct{ To, Text string }

func parse(field, text string) (*texttemplate.Template, error) {
	t, err := texttemplate.New("request").Funcs(texttemplate.FuncMap{"json": jsonString}).Parse(text)
	if err != nil {
		// The text may hold a key, and the error may quote it.
		return nil, fmt.Errorf("%s: the template does not parse%s", field, line(err))
	}
	if err := t.Execute(&bytes.Buffer{}, request{To: "+1", Text: "text"}); err != nil {
		if strings.Contains(err.Error(), "can't evaluate field") {
			return nil, fmt.Errorf("%s: unknown field%s: known are To and Text", field, line(err))
		}
		return nil, fmt.Errorf("%s: the template fails%s", field, line(err))
	}
	return t, nil
}

// line names the place that an error of text/template tells of, and the field,
// without quoting the template.
func line(err error) string {
	_, after, _ := strings.Cut(err.Error(), "template: request:")
	number, rest, _ := strings.Cut(after, ":")
	where := ""
	if number != "" && strings.Trim(number, "0123456789") == "" {
		where = " in line " + number
	}
	if _, field, ok := strings.Cut(rest, "can't evaluate field "); ok {
		field, _, _ = strings.Cut(field, " ")
		where += ": ." + field
	}
	return where
}

func jsonString(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// String names the channel without anything secret.
func (c *Channel) String() string { return "sms channel at " + c.http.String() }

// GoString is String: %#v would show the headers.
func (c *Channel) GoString() string { return c.String() }
