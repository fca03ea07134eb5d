// Package alertmanager hands alerts to a Prometheus Alertmanager by its API,
// version 2, which then groups, silences, routes and repeats them as it is
// configured. A notification is one alert, a digest one for each group in it.
//
// Alertmanager takes an alert for resolved once nobody has told it of the alert
// for some time, Config.ResolveTimeout. Two ways keep one alive; either will do:
//
//   - Give the channel of the Notifier, alert.Channel, a GroupWait of 1 ns and a
//     Repeat of a minute, and make it Unlimited. This outlives a restart, and
//     replicas share the work.
//   - Let Run run: a Channel remembers what it was told of and tells it again each
//     Config.Resend.
package alertmanager

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/httpsend"
	"github.com/sluicegate/sluicegate/alert/internal/promalert"
	"github.com/sluicegate/sluicegate/alert/template"
)

// maxDescription is how long the annotation description may be, in bytes.
const maxDescription = 4096

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Username and Password are those of basic authentication, Token is that of
	// bearer authentication. With either the URL must be https, except to this
	// machine. Default: none.
	Username, Password, Token string
	// Resend is how often Run tells of what fires. It must be at most half of
	// ResolveTimeout. Default 1 min.
	Resend time.Duration
	// ResolveTimeout is how long Alertmanager takes an alert for firing that it
	// hears no more of; it is sent with the alert. Default 5 min.
	ResolveTimeout time.Duration
	// Forget is how long an alert is told again of which the Notifier has not
	// said anything: longer than its Repeat. Default 24 h.
	Forget time.Duration
	// MaxActive is how many alerts are remembered; of more, those that are not
	// are told once. Default 10,000.
	MaxActive int
	// Active, where it is given, is asked for what fires when Run starts, so that
	// a restart resolves nothing. Default: nothing is known then.
	Active func(ctx context.Context) ([]alert.Notification, error)
	// Template is that of the annotation description. Default template.Text.
	Template string
	// Location is the time zone of times in the description. Default UTC.
	Location *time.Location
	// Timeout is of one request. Default 10 s.
	Timeout time.Duration
	// Client sends the requests; its redirects are off. Default: one of its own.
	Client *http.Client
	// Now is the clock of the alerts. Default time.Now.
	Now func() time.Time
	// Logger is told what Run could not send. Default: nobody.
	Logger *slog.Logger
}

// Channel is an alert.Sender. It is safe for concurrent use.
type Channel struct {
	http   *httpsend.Client
	cfg    Config
	header http.Header
	text   *template.Template
	turn   chan struct{} // one request at a time: a repetition must not overtake what resolves

	mu      sync.Mutex
	running bool
	active  map[string]active // by fingerprint
}

// active is an alert that fires.
type active struct {
	alert promalert.Alert
	told  time.Time // by the Notifier
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the Alertmanager at url: http://alertmanager:9093,
// with its path prefix where it has one.
func New(url string, cfg Config) (*Channel, error) {
	secret := cfg.Username != "" || cfg.Password != "" || cfg.Token != ""
	target, err := httpsend.ParseTarget(url, httpsend.Rules{Plain: !secret})
	errs := []error{err, httpsend.CheckSecret("Config.Token", cfg.Token)}
	if target != nil {
		target = target.Join("/api/v2/alerts")
	}
	cfg, err = cfg.withDefaults()
	errs = append(errs, err)
	header := cfg.authorization()
	secrets := append(httpsend.HeaderValues(header), cfg.Password)
	client, err := httpsend.New(target, httpsend.Config{Client: cfg.Client, Timeout: cfg.Timeout, Now: cfg.Now, Secrets: secrets})
	errs = append(errs, err)
	text, err := template.NewField("Config.Template", cmp.Or(cfg.Template, template.Text), template.Config{Location: cfg.Location})
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure alertmanager channel: %w", err)
	}
	return &Channel{http: client, cfg: cfg, header: header, text: text, turn: make(chan struct{}, 1), active: map[string]active{}}, nil
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	duration := func(name string, d *time.Duration, def time.Duration) {
		switch {
		case *d < 0:
			errs = append(errs, fmt.Errorf("Config.%s: %s is negative; use a duration, or 0 for %s", name, *d, def))
		case *d == 0:
			*d = def
		}
	}
	duration("Resend", &c.Resend, time.Minute)
	duration("ResolveTimeout", &c.ResolveTimeout, 5*time.Minute)
	duration("Forget", &c.Forget, 24*time.Hour)
	if c.Resend > c.ResolveTimeout/2 {
		errs = append(errs, fmt.Errorf("Config.Resend: %s is more than half of Config.ResolveTimeout, %s: one lost request would resolve alerts", c.Resend, c.ResolveTimeout))
	}
	switch {
	case c.MaxActive < 0:
		errs = append(errs, fmt.Errorf("Config.MaxActive: %d is negative; use 1 or more, or 0 for 10000", c.MaxActive))
	case c.MaxActive == 0:
		c.MaxActive = 10_000
	}
	switch {
	case c.Token != "" && c.Username+c.Password != "":
		errs = append(errs, errors.New("Config.Token: there is Config.Username or Config.Password too; use one of them"))
	case c.Username == "" && c.Password != "":
		errs = append(errs, errors.New("Config.Username: is empty, and there is Config.Password"))
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

func (c Config) authorization() http.Header {
	switch {
	case c.Token != "":
		return http.Header{"Authorization": {"Bearer " + c.Token}}
	case c.Username != "":
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))}}
	default:
		return nil
	}
}

// Send tells Alertmanager of n, and remembers what fires.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	list := c.list(n)
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return &alert.SendError{Retryable: true, Err: fmt.Errorf("wait for the request before: %w", ctx.Err())}
	}
	if err := c.post(ctx, list); err != nil {
		return err
	}
	c.remember(list)
	return nil
}

func (c *Channel) list(n alert.Notification) []promalert.Alert {
	return promalert.List(n, c.text.Render(n, template.Limit{Max: maxDescription}))
}

// posted is an alert in the API.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

func (c *Channel) post(ctx context.Context, list []promalert.Alert) error {
	all := make([]posted, 0, len(list))
	for _, a := range list {
		p := posted{Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt.UTC(), EndsAt: a.EndsAt.UTC(), GeneratorURL: a.Link}
		if a.Status() == alert.Firing {
			p.EndsAt = c.cfg.Now().Add(c.cfg.ResolveTimeout).UTC()
		}
		all = append(all, p)
	}
	body, err := httpsend.Encode(all)
	if err != nil {
		return c.http.Refused(err.Error())
	}
	_, err = c.http.Do(ctx, httpsend.Request{Header: c.header, Body: body, StatusOnly: true})
	return err
}

// String names the channel without anything secret.
func (c *Channel) String() string { return "alertmanager channel at " + c.http.String() }

// GoString is String: %#v would show the password.
func (c *Channel) GoString() string { return c.String() }
