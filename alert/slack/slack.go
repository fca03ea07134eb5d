// Package slack sends alerts to a channel in Slack by an incoming webhook.
//
// Slack takes about one message a second; beyond that it says for how long it
// takes none, and an alert.SendError has that as Until. A webhook that was
// removed, and a channel that was archived, is Permanent.
package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/httpsend"
	"github.com/sluicegate/sluicegate/alert/template"
)

// DefaultTemplate is the default of Config.Template.
const DefaultTemplate = `{{with .Summary}}{{.}}
{{end}}
{{- with .Handler}}
*Handler:* {{.}}{{end}}
{{- with .Topic}}
*Topic:* {{.}}{{end}}
{{- with .Key}}
*Key:* {{.}}{{end}}
{{- with .Error}}
*Error:* {{.}}{{end}}
*Count:* {{.Count}}{{if not .First.IsZero}}, first {{time .First}}, last {{time .Last}}{{end}}
{{- range $name, $value := .Labels}}
*{{$name}}:* {{$value}}{{end}}
{{- with .Link}}
*Link:* {{.}}{{end}}
{{- if gt (len .Samples) 1}}
*Samples:*{{range .Samples}}
• {{time .At}} {{.Key}}: {{.Error}}{{end}}{{end}}
{{- if .Digest}}
*Held back:*{{range .Digest}}
• [{{upper .Status}}] {{.Severity}}: {{.Name}}{{with .Handler}} ({{.}}){{end}}, {{.Count}} times{{end}}
{{- with .Omitted}}
• and {{.}} more{{end}}{{end}}`

// The limits of Slack's blocks, in characters.
const (
	maxHeader  = 150
	maxSection = 3000
)

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Title is the template of the header, in plain text. Default template.Title.
	Title string
	// Template is that of the text below it, in Slack's mrkdwn. Default
	// DefaultTemplate.
	Template string
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
	http        *httpsend.Client
	title, text *template.Template
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the webhook at url, as Slack shows it:
// https://hooks.slack.com/services/…
func New(url string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Path: true})
	errs := []error{err}
	client, err := httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now})
	errs = append(errs, err)
	title, err := template.NewField("Config.Title", cmp.Or(cfg.Title, template.Title), template.Config{Location: cfg.Location})
	errs = append(errs, err)
	text, err := template.NewField("Config.Template", cmp.Or(cfg.Template, DefaultTemplate), template.Config{Escape: escape.Replace, Location: cfg.Location})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure slack channel: %w", err)
	}
	return &Channel{http: client, title: title, text: text}, nil
}

// escape takes the meaning from what Slack reads as links and mentions.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type block struct {
	Type string `json:"type"`
	Text text   `json:"text"`
}

type message struct {
	Text   string  `json:"text"` // what a notification on a screen shows
	Blocks []block `json:"blocks"`
}

// Send sends n as one message of a header and a section.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	title := c.title.Render(n, template.Limit{Max: maxHeader, Size: template.UTF16})
	body, err := httpsend.Encode(message{
		Text: escape.Replace(title),
		Blocks: []block{
			{Type: "header", Text: text{"plain_text", title}},
			{Type: "section", Text: text{"mrkdwn", c.text.Render(n, template.Limit{Max: maxSection, Size: template.UTF16})}},
		},
	})
	if err != nil {
		return c.http.Refused(err.Error())
	}
	answer, err := c.http.Do(ctx, httpsend.Request{Body: body})
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(answer.Body)) != "ok" {
		return c.http.Failed("the answer is not ok: " + c.http.Excerpt(answer.Body))
	}
	return nil
}

// String names the channel without its token.
func (c *Channel) String() string { return "slack channel at " + c.http.String() }

// GoString is String: %#v would show the token.
func (c *Channel) GoString() string { return c.String() }
