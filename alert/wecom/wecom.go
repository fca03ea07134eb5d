// Package wecom sends alerts to a group in WeCom (WeChat Work) by a group robot.
//
// The robot's address holds its key, which is all that protects it. WeCom takes
// 20 messages a minute from a robot; beyond that an alert.SendError has Until. A
// key that is not valid is Permanent.
package wecom

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
const DefaultTemplate = `### [{{upper .Status}}] {{.Severity}}: {{.Name}}
{{- with .Summary}}
{{.}}{{end}}
{{- with .Handler}}
>**Handler:** {{.}}{{end}}
{{- with .Topic}}
>**Topic:** {{.}}{{end}}
{{- with .Key}}
>**Key:** {{.}}{{end}}
{{- with .Error}}
>**Error:** {{.}}{{end}}
{{- if .Count}}
>**Count:** {{.Count}}{{if not .First.IsZero}}, first {{time .First}}, last {{time .Last}}{{end}}{{end}}
{{- range $name, $value := .Labels}}
>**{{$name}}:** {{$value}}{{end}}
{{- with .Link}}
[Open]({{.}}){{end}}
{{- if gt (len .Samples) 1}}
Samples:{{range .Samples}}
>{{time .At}} {{.Key}}: {{.Error}}{{end}}{{end}}
{{- if .Digest}}
Held back:{{range .Digest}}
>[{{upper .Status}}] {{.Severity}}: {{.Name}}{{with .Handler}} ({{.}}){{end}}, {{.Count}} times{{end}}
{{- with .Omitted}}
>and {{.}} more{{end}}{{end}}`

// The limits of WeCom, in bytes.
const (
	maxMarkdown = 4096
	maxText     = 2048
)

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Mention are the user ids, and MentionMobiles the telephone numbers, of
	// members to mention in critical alerts that fire; "@all" is everybody.
	// WeCom mentions in plain text only, so such alerts are plain text.
	Mention        []string
	MentionMobiles []string
	// Template is that of messages in Markdown. Default DefaultTemplate.
	Template string
	// TextTemplate is that of messages that mention somebody. Default
	// template.Text.
	TextTemplate string
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
	http           *httpsend.Client
	cfg            Config
	markdown, text *template.Template
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the robot at url, as WeCom shows it:
// https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=…
func New(url string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Query: "key"})
	errs := []error{err}
	client, err := httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now})
	errs = append(errs, err)
	markdown, err := template.NewField("Config.Template", cmp.Or(cfg.Template, DefaultTemplate), template.Config{Escape: template.EscapeMarkdown, Location: cfg.Location})
	errs = append(errs, err)
	text, err := template.NewField("Config.TextTemplate", cmp.Or(cfg.TextTemplate, template.Text), template.Config{Location: cfg.Location})
	errs = append(errs, err)
	for i, user := range cfg.Mention {
		if strings.TrimSpace(user) == "" {
			errs = append(errs, fmt.Errorf("Config.Mention[%d]: it is empty", i))
		}
	}
	for i, mobile := range cfg.MentionMobiles {
		if mobile == "" || mobile != "@all" && strings.Trim(mobile, "+-0123456789") != "" {
			errs = append(errs, fmt.Errorf("Config.MentionMobiles[%d]: it is not a telephone number", i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure wecom channel: %w", err)
	}
	return &Channel{http: client, cfg: cfg, markdown: markdown, text: text}, nil
}

type content struct {
	Content string   `json:"content"`
	Users   []string `json:"mentioned_list,omitempty"`
	Mobiles []string `json:"mentioned_mobile_list,omitempty"`
}

type message struct {
	Type     string   `json:"msgtype"`
	Markdown *content `json:"markdown,omitempty"`
	Text     *content `json:"text,omitempty"`
}

// Send sends n as one message.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	body, err := httpsend.Encode(c.message(n))
	if err != nil {
		return c.http.Refused(err.Error())
	}
	answer, err := c.http.Do(ctx, httpsend.Request{Body: body})
	if err != nil {
		return err
	}
	return c.http.Judge(answer.Body, codes)
}

func (c *Channel) message(n alert.Notification) message {
	mention := len(c.cfg.Mention)+len(c.cfg.MentionMobiles) > 0
	if mention && n.Severity == alert.Critical && n.Status != alert.Resolved {
		return message{Type: "text", Text: &content{
			Content: c.text.Render(n, template.Limit{Max: maxText}), Users: c.cfg.Mention, Mobiles: c.cfg.MentionMobiles,
		}}
	}
	return message{Type: "markdown", Markdown: &content{Content: c.markdown.Render(n, template.Limit{Max: maxMarkdown})}}
}

var codes = httpsend.Codes{
	Code: "errcode", Text: "errmsg",
	Limited: map[int64]time.Duration{45009: time.Minute, 45033: time.Minute}, // frequency; calls at once
	Broken:  []int64{93000, 93004, 93008},                                    // key not valid; robot stopped; robot not in the group
	Failed:  []int64{-1},                                                     // busy
}

// String names the channel without its key.
func (c *Channel) String() string { return "wecom channel at " + c.http.String() }

// GoString is String: %#v would show the key.
func (c *Channel) GoString() string { return c.String() }
