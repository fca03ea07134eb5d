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
	"crypto/sha256"
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
	"github.com/sluicegate/sluicegate/internal/webhook"
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
	http   *httpsend.Client
	cfg    Config
	signer *webhook.Signer // nil: not signed
	text   *template.Template
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to url. A URL with a user name and a password uses them
// for basic authentication, and then, as with Config.Header, must be https,
// except to this machine.
func New(url string, cfg Config) (*Channel, error) {
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Plain: len(cfg.Header) == 0})
	errs := []error{err}
	signer, err := newSigner(cfg.Secret)
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
	return &Channel{http: client, cfg: cfg, signer: signer, text: text}, nil
}

func newSigner(s string) (*webhook.Signer, error) {
	secrets := strings.Fields(s)
	switch {
	case s == "":
		return nil, nil //nolint:nilnil // nothing is signed
	case len(secrets) == 0:
		return nil, errors.New("Config.Secret: it is white space")
	}
	for i, secret := range secrets {
		if !strings.HasPrefix(secret, webhook.SecretPrefix) {
			return nil, fmt.Errorf("Config.Secret: number %d does not begin with %s", i+1, webhook.SecretPrefix)
		}
	}
	signer, err := webhook.NewSigner(secrets...)
	if err != nil {
		return nil, fmt.Errorf("Config.Secret: %w", err)
	}
	return signer, nil
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
	if err := c.sign(header, n, body); err != nil {
		return c.http.Refused(err.Error())
	}
	_, err = c.http.Do(ctx, httpsend.Request{Header: header, Body: body, StatusOnly: true})
	return err
}

func (c *Channel) sign(header http.Header, n alert.Notification, body []byte) error {
	id, now := messageID(n), c.http.Now()
	header.Set(webhook.HeaderID, id)
	header.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	if c.signer == nil {
		return nil
	}
	signature, err := c.signer.Sign(id, now, body)
	if err != nil {
		return err
	}
	header.Set(webhook.HeaderSignature, signature)
	return nil
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
