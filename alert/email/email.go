// Package email sends alerts as mails by SMTP.
//
// The connection is encrypted: smtp://host:587 must offer STARTTLS and
// smtps://host:465 is TLS from the start. Only Config.Insecure allows plain
// text, and never with a password, except to this machine.
//
// Answers 4yz are offered again. 5yz is Permanent where it is about the account
// or the addresses, which no other mail would change; where it is about the
// content of the mail, only that one is refused.
package email

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/httpsend"
	"github.com/sluicegate/sluicegate/alert/template"
	"github.com/sluicegate/sluicegate/internal/urlparam"
)

// The limits, in bytes. A subject is one header line, encoded.
const (
	maxSubject = 200
	maxText    = 64 << 10
)

// Config of a Channel. The zero value is ready to use.
type Config struct {
	// Username and Password are those of the account; the best of SCRAM,
	// CRAM-MD5, PLAIN and LOGIN that the server has is used. They may be in the
	// URL instead. Default: no authentication.
	Username, Password string
	// Insecure allows a server of smtp:// that has no STARTTLS.
	Insecure bool
	// TLS is the configuration of TLS, for a certificate authority of one's own.
	// Default: the system's authorities, TLS 1.2 or later.
	TLS *tls.Config
	// Hello is the name by which this machine greets. Default: its host name.
	Hello string
	// Subject is the template of the subject. Default template.Title.
	Subject string
	// Template is that of the text. Default template.Text.
	Template string
	// Location is the time zone of times. Default UTC.
	Location *time.Location
	// Timeout is of one mail, from dialling on. Default 30 s.
	Timeout time.Duration
	// Now is the clock of the Date header. Default time.Now.
	Now func() time.Time
}

// Channel is an alert.Sender. It is safe for concurrent use.
type Channel struct {
	cfg           Config
	host          string
	port          int
	ssl           bool
	from          *mail.Address
	to            []*mail.Address
	subject, text *template.Template
	scrub         *httpsend.Scrubber
}

var _ alert.Sender = (*Channel)(nil)

// New returns a Channel to the server at url, smtp://host:587 or
// smtps://host:465, which sends from one address to others: each is like
// a@example.com or "Name <a@example.com>".
func New(url, from string, to []string, cfg Config) (*Channel, error) {
	c := &Channel{}
	errs := []error{c.parseURL(url, &cfg), c.parseAddresses(from, to)}
	if (cfg.Username == "") != (cfg.Password == "") {
		errs = append(errs, errors.New("Config.Username and Config.Password: one of them is empty"))
	}
	if cfg.Insecure && cfg.Password != "" && c.host != "" && !loopback(c.host) {
		errs = append(errs, errors.New("Config.Insecure: a password must not travel in clear"))
	}
	if cfg.Timeout < 0 {
		errs = append(errs, fmt.Errorf("Config.Timeout: %s is negative; use a duration, or 0 for 30s", cfg.Timeout))
	}
	if strings.ContainsFunc(cfg.Hello, func(r rune) bool { return r <= ' ' || r > '~' }) {
		errs = append(errs, errors.New("Config.Hello: it is not a host name"))
	}
	look := template.Config{Location: cfg.Location}
	var err error
	c.subject, err = template.NewField("Config.Subject", cmp.Or(cfg.Subject, template.Title), look)
	errs = append(errs, err)
	c.text, err = template.NewField("Config.Template", cmp.Or(cfg.Template, template.Text), look)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("configure email channel: %w", err)
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c.cfg = cfg
	c.scrub = httpsend.NewScrubber(secrets(cfg)...)
	return c, nil
}

func (c *Channel) parseURL(raw string, cfg *Config) error {
	u, err := urlparam.Parse(raw)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	var errs []error
	defaultPort := 587
	switch u.Scheme {
	case "smtp":
	case "smtps":
		c.ssl, defaultPort = true, 465
	default:
		return errors.New("url: its scheme must be smtp or smtps")
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		errs = append(errs, errors.New("url: it must end after host and port"))
	}
	hosts, err := urlparam.Hosts(u.Host, defaultPort)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("url: %w", err))
	case len(hosts) > 1:
		errs = append(errs, errors.New("url: it names more than one host"))
	default:
		host, port, _ := net.SplitHostPort(hosts[0])
		c.host = host
		if c.port, err = strconv.Atoi(port); err != nil {
			errs = append(errs, errors.New("url: its port is not a number"))
		}
	}
	if password, ok := u.User.Password(); u.User != nil {
		switch {
		case cfg.Username+cfg.Password != "":
			errs = append(errs, errors.New("Config.Username: there is a user name in the URL too; use one of them"))
		case !ok:
			errs = append(errs, errors.New("url: it has a user name and no password"))
		default:
			cfg.Username, cfg.Password = u.User.Username(), password
		}
	}
	return errors.Join(errs...)
}

func (c *Channel) parseAddresses(from string, to []string) error {
	var errs []error
	var err error
	if c.from, err = mail.ParseAddress(from); err != nil {
		errs = append(errs, errors.New("from: it is not a mail address"))
	}
	if len(to) == 0 {
		errs = append(errs, errors.New("to: there is no recipient"))
	}
	for i, address := range to {
		parsed, err := mail.ParseAddress(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("to[%d]: it is not a mail address", i))
			continue
		}
		c.to = append(c.to, parsed)
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// String names the channel without its account.
func (c *Channel) String() string { return "email channel at " + c.host }

// GoString is String: %#v would show the password.
func (c *Channel) GoString() string { return c.String() }
