// Package webhook sends alerts to an HTTP endpoint in the JSON that Prometheus'
// Alertmanager sends to its webhook receivers, version 4, so that what was made
// for those understands it. A notification is one alert, a digest one for each
// group in it.
//
// With Config.Secret each request is signed as Standard Webhooks say: the
// headers webhook-id, webhook-timestamp and webhook-signature. The id is that of
// the notification: a receiver that knows it already may answer 200 and do
// nothing.
package webhook

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
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

// maxDescription is how long the annotation description may be, in bytes.
const maxDescription = 4096

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Secret signs the requests: "whsec_" and base64 of 24 to 64 bytes. Several,
	// with spaces between, sign each, while one is replaced by the next.
	// Default: not signed.
	Secret string
	// Receiver is the member receiver. Default "sluicegate".
	Receiver string
	// ExternalURL is the member externalURL: where the sender can be seen.
	ExternalURL string
	// Header is added to the requests; what is in it is never shown.
	Header http.Header
	// Template is that of the annotation description. Default template.Text.
	Template string
	// Location is the time zone of times in the description. Default UTC.
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
	keys [][]byte
	text *template.Template
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to url. A URL with a user name and a password uses them
// for basic authentication, and then, as with Config.Header, must be https,
// except to this machine.
func New(url string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Plain: len(cfg.Header) == 0})
	errs := []error{err}
	keys, err := parseSecrets(cfg.Secret)
	errs = append(errs, err, httpsend.CheckHeader("Config.Header", cfg.Header))
	secrets := append(strings.Fields(cfg.Secret), httpsend.HeaderValues(cfg.Header)...)
	client, err := httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now, Secrets: secrets})
	errs = append(errs, err)
	text, err := template.NewField("Config.Template", cmp.Or(cfg.Template, template.Text), template.Config{Location: cfg.Location})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure webhook channel: %w", err)
	}
	cfg.Receiver = cmp.Or(cfg.Receiver, "sluicegate")
	cfg.Header = cfg.Header.Clone()
	return &Channel{http: client, cfg: cfg, keys: keys, text: text}, nil
}

func parseSecrets(s string) ([][]byte, error) {
	var keys [][]byte
	for i, secret := range strings.Fields(s) {
		encoded, ok := strings.CutPrefix(secret, "whsec_")
		if !ok {
			return nil, fmt.Errorf("Config.Secret: number %d does not begin with whsec_", i+1)
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, fmt.Errorf("Config.Secret: what follows whsec_ in number %d is not base64", i+1)
		}
		if len(key) < 24 || len(key) > 64 {
			return nil, fmt.Errorf("Config.Secret: number %d has %d bytes; it must have 24 to 64", i+1, len(key))
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 && s != "" {
		return nil, errors.New("Config.Secret: it is white space")
	}
	return keys, nil
}

// Send posts n. Any 2xx means that it was accepted.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	description := c.text.Render(n, template.Limit{Max: maxDescription})
	body, err := httpsend.Encode(c.payload(n, description))
	if err != nil {
		return c.http.Refused(err.Error())
	}
	header := c.cfg.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	c.sign(header, n, body)
	_, err = c.http.Do(ctx, httpsend.Request{Header: header, Body: body, StatusOnly: true})
	return err
}

func (c *Channel) sign(header http.Header, n alert.Notification, body []byte) {
	id, timestamp := messageID(n), strconv.FormatInt(c.http.Now().Unix(), 10)
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", timestamp)
	signatures := make([]string, 0, len(c.keys))
	for _, key := range c.keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if len(signatures) > 0 {
		header.Set("Webhook-Signature", strings.Join(signatures, " "))
	}
}

// messageID is the same whenever the same notification is offered again.
func messageID(n alert.Notification) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d", n.Fingerprint, n.Name, n.Status, n.At.UnixNano(), n.Count))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// String names the channel without anything secret.
func (c *Channel) String() string { return "webhook channel at " + c.http.String() }

// GoString is String: %#v would show the secret.
func (c *Channel) GoString() string { return c.String() }
