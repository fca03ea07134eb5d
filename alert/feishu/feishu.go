// Package feishu sends alerts to a group in Feishu or Lark by a custom bot.
//
// The bot may be protected by a signature (Config.Secret), by keywords or by
// addresses. Feishu takes 100 messages a minute and 5 a second from a bot;
// beyond that an alert.SendError has Until. A wrong signature, keyword or
// address is Permanent.
package feishu

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

// maxText is what the text may take in JSON; the whole request may have 20 KB.
const maxText = 18_000

// mentionAll is how Feishu mentions everybody.
const mentionAll = "\n<at user_id=\"all\"></at>"

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Secret signs each request. Default: not signed, for a bot that is
	// protected by keywords or addresses.
	Secret string
	// AtAll mentions everybody in critical alerts that fire.
	AtAll bool
	// Template is that of the text. Default template.Text.
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
	http *httpsend.Client
	cfg  Config
	text *template.Template
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the bot at url, as Feishu shows it:
// https://open.feishu.cn/open-apis/bot/v2/hook/…
func New(url string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Path: true})
	errs := []error{err, httpsend.CheckSecret("Config.Secret", cfg.Secret)}
	client, err := httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now, Secrets: []string{cfg.Secret}})
	errs = append(errs, err)
	text, err := template.NewField("Config.Template", cmp.Or(cfg.Template, template.Text), template.Config{Escape: escape.Replace, Location: cfg.Location})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure feishu channel: %w", err)
	}
	return &Channel{http: client, cfg: cfg, text: text}, nil
}

// escape keeps a value from mentioning people: a text has no other tags.
var escape = strings.NewReplacer("<", "\u2039", ">", "\u203a")

type content struct {
	Text string `json:"text"`
}

type message struct {
	Timestamp string  `json:"timestamp,omitempty"`
	Sign      string  `json:"sign,omitempty"`
	Type      string  `json:"msg_type"`
	Content   content `json:"content"`
}

// Send sends n as one message.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	m := message{Type: "text", Content: content{c.text.Render(n, template.Limit{Max: maxText, Size: template.JSON})}}
	if c.cfg.AtAll && n.Severity == alert.Critical && n.Status != alert.Resolved {
		m.Content.Text += mentionAll
	}
	m.Timestamp, m.Sign = c.signature()
	body, err := httpsend.Encode(m)
	if err != nil {
		return c.http.Refused(err.Error())
	}
	answer, err := c.http.Do(ctx, httpsend.Request{Body: body})
	if err != nil {
		return err
	}
	return c.http.Judge(answer.Body, codes)
}

// signature is the other way round than one expects: the secret is a part of
// the key, and what is signed is empty.
func (c *Channel) signature() (timestamp, sign string) {
	if c.cfg.Secret == "" {
		return "", ""
	}
	timestamp = strconv.FormatInt(c.http.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(timestamp+"\n"+c.cfg.Secret))
	return timestamp, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

var codes = httpsend.Codes{
	Code: "code", Text: "msg",
	Limited: map[int64]time.Duration{11232: time.Minute, 99991400: time.Minute},
	Broken:  []int64{19001, 19021, 19022, 19024}, // token; signature; address; keyword
	Failed:  []int64{-1},
}

// String names the channel without its token.
func (c *Channel) String() string { return "feishu channel at " + c.http.String() }

// GoString is String: %#v would show the secret.
func (c *Channel) GoString() string { return c.String() }
