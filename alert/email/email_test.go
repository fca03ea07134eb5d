package email_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/email"
)

const password = "canary0pass0word/+="

const from = `Shop alerts <alerts@shop.example>`

var to = []string{"ops@shop.example", "Zoë <zoe@shop.example>"}

func harness(implicit bool) alerttest.Harness {
	return alerttest.Harness{
		Open: func(t alerttest.T) alerttest.Service {
			s, trust := serve(t, func(s *server) { s.implicit = implicit })
			scheme := "smtp://"
			if implicit {
				scheme = "smtps://"
			}
			c, err := email.New(scheme+s.address(), from, to, email.Config{Username: "user", Password: password, TLS: trust})
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			return alerttest.Service{
				Sender: c, Behave: s.behave,
				Received: func() []string {
					var texts []string
					for _, m := range s.received() {
						texts = append(texts, m.text)
					}
					return texts
				},
			}
		},
		Lacks:   []alerttest.Fault{alerttest.Limited, alerttest.Redirect, alerttest.Leaking}, // SMTP has none of them
		Secrets: []string{password, "canary0pass0word", "AHVzZXIAY2FuYXJ5MHBhc3Mwd29yZC8rPQ=="},
		MaxText: 65 << 10,
	}
}

func TestConformance(t *testing.T) { alerttest.Run(t, harness(false)) }

func TestConformanceWithTLSFromTheStart(t *testing.T) { alerttest.Run(t, harness(true)) }

func TestARealServerReceivesARealMail(t *testing.T) {
	s, trust := serve(t, func(*server) {})
	c, err := email.New("smtp://"+s.address(), from, to, email.Config{
		Username: "user", Password: password, TLS: trust, Hello: "shop.example",
		Now: func() time.Time { return time.Date(2026, 3, 1, 9, 40, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Handler = "店/库存\r\nBcc: evil@example.com"
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	m := s.received()[0]
	if !m.encrypted || m.user != "\x00user\x00"+password {
		t.Errorf("encrypted %t, user %q", m.encrypted, m.user)
	}
	if !strings.HasPrefix(m.from, "FROM:<alerts@shop.example>") || !slices.Equal(m.to, []string{"TO:<ops@shop.example>", "TO:<zoe@shop.example>"}) {
		t.Errorf("from %s to %s", m.from, m.to)
	}
	want := "[FIRING] warning: dead_letter (店/库存  Bcc: evil@example.com)\n[FIRING] warning: dead_letter\nA message was set aside.\n" +
		"Handler: 店/库存  Bcc: evil@example.com\nTopic: orders\nKey: o-7\nError: locked\n" +
		"Count: 42, first 2026-03-01 09:30:00 UTC, last 2026-03-01 09:31:00 UTC\nLink: https://x.example/7\n" +
		"Samples:\n- 2026-03-01 09:30:00 UTC o-1: no row\n- 2026-03-01 09:31:00 UTC o-7: locked\n"
	if m.text != want {
		t.Errorf("got:\n%s", m.text)
	}
	if m.header.Get("Auto-Submitted") != "auto-generated" || m.header.Get("Message-Id") == "" || m.header.Get("Bcc") != "" ||
		m.header.Get("Date") != "Sun, 01 Mar 2026 09:40:00 +0000" || !strings.Contains(m.header.Get("To"), "ops@shop.example") {
		t.Errorf("header: %v", m.header)
	}
	for line := range strings.Lines(m.raw) {
		if len(line) > 1000 {
			t.Errorf("a line has %d bytes", len(line))
		}
	}
}

func TestWhatTheServerAnswersDecides(t *testing.T) {
	for _, c := range []struct{ command, answer, class string }{
		{"EHLO", "421 4.3.2 shutting down", "retryable"},
		{"AUTH", "454 4.7.0 try later", "retryable"},
		{"AUTH", "535 5.7.8 wrong", "permanent"},
		{"MAIL", "451 4.3.0 busy", "retryable"},
		{"MAIL", "550 5.7.1 not your address", "permanent"},
		{"RCPT", "450 4.2.1 mailbox busy", "retryable"},
		{"RCPT", "550 5.1.1 no such user", "permanent"},
		{"DATA", "451 4.3.0 disk", "retryable"},
		{"DATA", "554 5.5.1 no", "refused"},
		{".", "452 4.3.1 full", "retryable"},
		{".", "554 5.6.0 spam", "refused"},
		{".", "552 5.3.4 too large", "refused"},
	} {
		s, trust := serve(t, func(s *server) {
			s.answers[c.command] = c.answer
			if c.command == "EHLO" {
				s.answers["HELO"] = c.answer
			}
		})
		channel, err := email.New("smtp://"+s.address(), from, to, email.Config{Username: "user", Password: password, TLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		var failed *alert.SendError
		err = channel.Send(t.Context(), alerttest.Sample())
		if !errors.As(err, &failed) {
			t.Fatalf("%s %s: %v", c.command, c.answer, err)
		}
		class := "refused"
		switch {
		case failed.Permanent:
			class = "permanent"
		case failed.Retryable:
			class = "retryable"
		}
		if class != c.class || !strings.Contains(err.Error(), c.answer[4:]) {
			t.Errorf("%s %s: %s, want %s: %v", c.command, c.answer, class, c.class, err)
		}
	}
}

func TestAMailThatTheServerTookIsNotSentTwice(t *testing.T) {
	for _, cut := range []string{"DATA", "RSET"} { // the connection ends right after it was queued
		s, trust := serve(t, func(s *server) { s.cutAfter = cut })
		c, err := email.New("smtp://"+s.address(), from, to, email.Config{TLS: trust})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), alerttest.Sample()); err != nil || len(s.received()) != 1 {
			t.Errorf("%s: %d mails, %v", cut, len(s.received()), err)
		}
	}
}

func TestNothingTravelsInClearUnlessAllowed(t *testing.T) {
	send := func(change func(*server), cfg email.Config) (*server, error) {
		s, trust := serve(t, change)
		if cfg.TLS == nil {
			cfg.TLS = trust
		}
		c, err := email.New("smtp://"+s.address(), from, to, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s, c.Send(t.Context(), alerttest.Sample())
	}
	permanent := func(name string, s *server, err error) {
		t.Helper()
		var failed *alert.SendError
		if !errors.As(err, &failed) || !failed.Permanent || len(s.received()) != 0 {
			t.Errorf("%s: %d mails, %v", name, len(s.received()), err)
		}
	}
	s, err := send(func(s *server) { s.plain = true }, email.Config{})
	permanent("no STARTTLS", s, err)
	s, err = send(func(*server) {}, email.Config{TLS: &tls.Config{}})
	permanent("a certificate that nobody knows", s, err)
	s, err = send(func(s *server) { s.noAuth = true }, email.Config{Username: "user", Password: password})
	permanent("no AUTH", s, err)
	s, err = send(func(s *server) { s.plain = true }, email.Config{Insecure: true})
	if err != nil || len(s.received()) != 1 || s.received()[0].encrypted {
		t.Errorf("Insecure: %d mails, %v", len(s.received()), err)
	}
	s, err = send(func(*server) {}, email.Config{Insecure: true})
	if err != nil || !s.received()[0].encrypted {
		t.Errorf("Insecure, and the server has STARTTLS: %v", err)
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url, from string
		to        []string
		cfg       email.Config
		fields    []string
	}{
		{"https://mail.example", from, to, email.Config{}, []string{"url: its scheme must be smtp or smtps"}},
		{"smtp://mail.example:x", from, to, email.Config{}, []string{"url: host 1: its port"}},
		{"smtp://user:" + password + "@mail.example", from, to, email.Config{}, []string{"url:"}}, // "/" in a password
		{"smtp://user:canary0@mail.example/x?y=1", from, to, email.Config{}, []string{"url: it must end after host and port"}},
		{"smtp://user:canary0@mail.example", from, to, email.Config{Username: "u", Password: password}, []string{"Config.Username: there is a user name in the URL too"}},
		{"smtp://user@mail.example", from, to, email.Config{}, []string{"url: it has a user name and no password"}},
		{"smtp://mail.example", "nobody", nil, email.Config{}, []string{"from: it is not a mail address", "to: there is no recipient"}},
		{"smtp://mail.example", from, []string{"a@b", "x\r\ny@z"}, email.Config{Password: password}, []string{"to[1]", "Config.Username and Config.Password"}},
		{"smtp://mail.example", from, to, email.Config{Insecure: true, Username: "u", Password: password}, []string{"Config.Insecure"}},
		{"smtp://mail.example", from, to, email.Config{Subject: "{{.Nme}}", Template: "{{", Timeout: -1, Hello: "a b"}, []string{"Config.Subject", "Config.Template", "Config.Timeout", "Config.Hello"}},
	} {
		_, err := email.New(c.url, c.from, c.to, c.cfg)
		alerttest.Refuses(t, err, []string{password, "canary0"}, c.fields...)
	}
}

func Example() {
	channel, err := email.New("smtp://mail.example.com:587", "Shop alerts <alerts@example.com>", []string{"ops@example.com"}, email.Config{
		Username: "alerts", Password: "0123456789",
	})
	fmt.Println(channel, err)
	_, err = email.New("smtp://mail.example.com:587", "alerts", []string{"ops@example.com"}, email.Config{Subject: "{{.Titel}}"})
	fmt.Println(err)
	// Output:
	// email channel at mail.example.com <nil>
	// configure email channel: from: it is not a mail address
	// Config.Subject: line 1: unknown field .Titel: known are At, Count, Digest, Error, Fingerprint, Firing, First, Handler, Key, Labels, Last, Link, Name, New, Omitted, Repeat, Samples, Severity, Status, Summary, Topic
}
