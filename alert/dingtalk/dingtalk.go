// Package dingtalk sends alerts to a group in DingTalk by a custom robot.
//
// The robot may be protected by a signature (Config.Secret), by keywords or by
// addresses. The signature counts from the clock of this machine, which must not
// be wrong by an hour.
//
// DingTalk takes 20 messages a minute from a robot and then none for ten
// minutes: an alert.SendError with Until says so. A wrong signature, keyword or
// address, and a robot that is gone, is Permanent.
package dingtalk

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
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
{{with .Handler}}
- **Handler:** {{.}}{{end}}
{{- with .Topic}}
- **Topic:** {{.}}{{end}}
{{- with .Key}}
- **Key:** {{.}}{{end}}
{{- with .Error}}
- **Error:** {{.}}{{end}}
{{- if .Count}}
- **Count:** {{.Count}}{{if not .First.IsZero}}, first {{time .First}}, last {{time .Last}}{{end}}{{end}}
{{- range $name, $value := .Labels}}
- **{{$name}}:** {{$value}}{{end}}
{{- if gt (len .Samples) 1}}

Samples:
{{range .Samples}}
- {{time .At}} {{.Key}}: {{.Error}}{{end}}{{end}}
{{- if .Digest}}

Held back:
{{range .Digest}}
- [{{upper .Status}}] {{.Severity}}: {{.Name}}{{with .Handler}} ({{.}}){{end}}, {{.Count}} times{{end}}
{{- with .Omitted}}
- and {{.}} more{{end}}{{end}}
{{- with .Link}}

[Open]({{.}}){{end}}`

// maxText is what the text may take in JSON; documented is 15,000 bytes.
const maxText = 14_000

// maxTitle is what the list of chats shows of a message, in bytes.
const maxTitle = 120

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Secret signs each request; it begins with SEC. Default: not signed, for a
	// robot that is protected by keywords or addresses.
	Secret string
	// AtMobiles are the telephone numbers of members to mention, and AtAll
	// mentions everybody, in critical alerts that fire.
	AtMobiles []string
	AtAll     bool
	// Title is the template of the line that the list of chats shows. Default
	// template.Title.
	Title string
	// Template is that of the text, in Markdown. Default DefaultTemplate.
	Template string
	// Location is the time zone of times. Default UTC.
	Location *time.Location
	// Timeout is of one request. Default 10 s.
	Timeout time.Duration
	// Client sends the requests; its redirects are off. Default: one of its own.
	Client *http.Client
	// Now is the clock of the signature. Default time.Now.
	Now func() time.Time
}

// Channel is an alert.Sender. It is safe for concurrent use.
type Channel struct {
	http        *httpsend.Client
	cfg         Config
	title, text *template.Template
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the robot at url, as DingTalk shows it:
// https://oapi.dingtalk.com/robot/send?access_token=…
func New(url string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Query: "access_token"})
	errs := []error{err, httpsend.CheckSecret("Config.Secret", cfg.Secret)}
	client, err := httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now, Secrets: []string{cfg.Secret}})
	errs = append(errs, err)
	look := template.Config{Escape: template.EscapeMarkdown, Location: cfg.Location}
	title, err := template.NewField("Config.Title", cmp.Or(cfg.Title, template.Title), look)
	errs = append(errs, err)
	text, err := template.NewField("Config.Template", cmp.Or(cfg.Template, DefaultTemplate), look)
	errs = append(errs, err)
	for i, mobile := range cfg.AtMobiles {
		if mobile == "" || strings.Trim(mobile, "+-0123456789") != "" {
			errs = append(errs, fmt.Errorf("Config.AtMobiles[%d]: it is not a telephone number", i))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure dingtalk channel: %w", err)
	}
	return &Channel{http: client, cfg: cfg, title: title, text: text}, nil
}

type markdown struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

type at struct {
	Mobiles []string `json:"atMobiles"`
	All     bool     `json:"isAtAll"`
}

type message struct {
	Type     string   `json:"msgtype"`
	Markdown markdown `json:"markdown"`
	At       at       `json:"at"`
}

// Send sends n as one message in Markdown.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	m := message{Type: "markdown", At: at{Mobiles: []string{}}}
	var mentions strings.Builder
	if n.Severity == alert.Critical && n.Status != alert.Resolved {
		m.At.All = c.cfg.AtAll
		m.At.Mobiles = append(m.At.Mobiles, c.cfg.AtMobiles...)
		if len(c.cfg.AtMobiles) > 0 { // they are highlighted where the text has them
			mentions.WriteString("\n\n@" + strings.Join(c.cfg.AtMobiles, " @"))
		}
	}
	m.Markdown = markdown{
		Title: c.title.Render(n, template.Limit{Max: maxTitle}),
		Text:  c.text.Render(n, template.Limit{Max: max(1, maxText-mentions.Len()), Size: template.JSON}) + mentions.String(),
	}
	body, err := httpsend.Encode(m)
	if err != nil {
		return c.http.Refused(err.Error())
	}
	answer, err := c.http.Do(ctx, httpsend.Request{Query: c.signature(), Body: body})
	if err != nil {
		return err
	}
	return c.http.Judge(answer.Body, codes)
}

// signature is added to the URL.
func (c *Channel) signature() map[string]string {
	if c.cfg.Secret == "" {
		return nil
	}
	timestamp := strconv.FormatInt(c.http.Now().UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(c.cfg.Secret))
	mac.Write([]byte(timestamp + "\n" + c.cfg.Secret))
	return map[string]string{"timestamp": timestamp, "sign": base64.StdEncoding.EncodeToString(mac.Sum(nil))}
}

var codes = httpsend.Codes{
	Code: "errcode", Text: "errmsg",
	Limited: map[int64]time.Duration{
		130101: 10 * time.Minute, // more than 20 in a minute: banned
		410100: time.Minute,
	},
	Broken: []int64{
		310000,         // signature, keyword or address
		300001, 300005, // token
		400013, 400101, 400102, 400106, // group dissolved; token; robot stopped; robot gone
	},
	Failed: []int64{-1}, // busy
}

// String names the channel without its token.
func (c *Channel) String() string { return "dingtalk channel at " + c.http.String() }

// GoString is String: %#v would show the secret.
func (c *Channel) GoString() string { return c.String() }
