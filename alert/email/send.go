package email

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/template"
)

// Send sends n as one mail to all recipients; where the server refuses one of
// them, none gets it.
func (c *Channel) Send(ctx context.Context, n alert.Notification) error {
	if err := ctx.Err(); err != nil {
		return c.failure(nil, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	msg, err := c.message(n)
	if err != nil {
		return &alert.SendError{Err: c.scrub.Error("build mail", err)}
	}
	l := &line{address: net.JoinHostPort(c.host, strconv.Itoa(c.port))}
	if c.ssl {
		l.ssl = c.tls()
	}
	defer l.close()
	// The library looks at the context while it dials only, and reads the
	// greeting without any deadline. Whatever it waits for ends with the
	// connection.
	defer context.AfterFunc(ctx, l.close)()
	client, err := gomail.NewClient(c.host, c.options(l)...)
	if err != nil {
		return &alert.SendError{Err: c.scrub.Error("prepare mail client", err)}
	}
	err = client.DialAndSendWithContext(ctx, msg)
	// What fails after the server took the mail, a QUIT for example, must not
	// send it twice.
	if err == nil || msg.IsDelivered() {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		err = cause
	}
	return c.failure(msg, err)
}

func (c *Channel) message(n alert.Notification) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(c.from.String()); err != nil {
		return nil, fmt.Errorf("set sender: %w", err)
	}
	to := make([]string, 0, len(c.to))
	for _, address := range c.to {
		to = append(to, address.String())
	}
	if err := msg.To(to...); err != nil {
		return nil, fmt.Errorf("set recipients: %w", err)
	}
	msg.SetDateWithValue(c.cfg.Now())
	msg.SetMessageID()
	msg.Subject(c.subject.Render(n, template.Limit{Max: maxSubject}))
	// No answers of those who are on holiday.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, c.text.Render(n, template.Limit{Max: maxText})+"\n")
	return msg, nil
}

func (c *Channel) tls() *tls.Config {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.cfg.TLS != nil {
		cfg = c.cfg.TLS.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = c.host
	}
	return cfg
}

func (c *Channel) options(l *line) []gomail.Option {
	policy := gomail.TLSMandatory
	if c.cfg.Insecure {
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{
		gomail.WithPort(c.port), gomail.WithTimeout(c.cfg.Timeout), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(c.tls()),
		gomail.WithDialContextFunc(l.dial), gomail.WithoutNoop(),
	}
	if c.ssl {
		options = append(options, gomail.WithSSL())
	}
	if c.cfg.Hello != "" {
		options = append(options, gomail.WithHELO(c.cfg.Hello))
	}
	if c.cfg.Username != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&auth{username: c.cfg.Username, password: c.cfg.Password}))
	}
	return options
}

// failure classifies err.
func (c *Channel) failure(msg *gomail.Msg, err error) error {
	failed := &alert.SendError{Err: c.scrub.Error("send mail by "+c.host, err)}
	var sending *gomail.SendError
	var answer *textproto.Error
	code := 0
	if msg != nil && errors.As(err, &sending) {
		code = sending.ErrorCode()
	}
	if code == 0 && errors.As(err, &answer) {
		code = answer.Code
	}
	switch {
	case code < 500 || code > 599:
		failed.Permanent = misconfigured(err)
		failed.Retryable = !failed.Permanent
	case sending != nil && aboutContent(sending.Reason):
		// This mail only.
	default:
		failed.Permanent = true
	}
	return failed
}

func aboutContent(reason gomail.SendErrReason) bool {
	return reason == gomail.ErrSMTPData || reason == gomail.ErrSMTPDataClose || reason == gomail.ErrWriteContent
}

// misconfigured reports whether the server will answer so until somebody
// changes it or the Config.
func misconfigured(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	// The library has no other word for a server without STARTTLS or AUTH.
	text := err.Error()
	return errors.Is(err, errNoAuth) || errors.Is(err, errInClear) ||
		strings.Contains(text, "does not support STARTTLS") || strings.Contains(text, "smtp: server doesn't support AUTH")
}

// secrets are what no error may show: servers quote what they were sent.
func secrets(cfg Config) []string {
	if cfg.Password == "" {
		return nil
	}
	return []string{
		cfg.Password,
		base64.StdEncoding.EncodeToString([]byte(cfg.Password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + cfg.Username + "\x00" + cfg.Password)),
	}
}
