package alerttest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// send calls Send and fails where it does not return in time.
func send(ctx context.Context, t T, h Harness, s Service) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Sender.Send(ctx, Sample()) }()
	timer := time.NewTimer(h.Patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		t.Fatalf("Send did not return within %s", h.Patience)
		return nil
	}
}

func cancelled(t T, h Harness) {
	s := h.Open(t)
	s.Behave(Silent)
	for name, ended := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 30*time.Millisecond)
		},
		"cancel": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(30*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		ctx, cancel := ended()
		err := send(ctx, t, h, s)
		cancel()
		if !errors.Is(err, ctx.Err()) {
			t.Errorf("%s: Send returned %v", name, err)
		}
		if class(err) != "retryable" {
			t.Errorf("%s: the error is %s, not retryable: %v", name, class(err), err)
		}
	}
}

func dead(t T, h Harness) {
	s := h.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := send(ctx, t, h, s); !errors.Is(err, context.Canceled) {
		t.Errorf("Send returned %v", err)
	}
	if got := s.Received(); len(got) > 0 {
		t.Errorf("it was sent")
	}
}

// class says what follows from err.
func class(err error) string {
	var e *alert.SendError
	switch {
	case err == nil:
		return "success"
	case !errors.As(err, &e):
		return "retryable" // so a Notifier takes it
	case e.Err == nil:
		return "without Err"
	case e.Permanent && (e.Retryable || !e.Until.IsZero()), e.Retryable && !e.Until.IsZero():
		return "two at once"
	case e.Permanent:
		return "permanent"
	case !e.Until.IsZero():
		return "limited"
	case e.Retryable:
		return "retryable"
	default:
		return "refused"
	}
}

var classes = map[Fault]string{
	Cut: "retryable", Busy: "retryable", Limited: "limited", Broken: "permanent", Refused: "refused",
	Garbage: "retryable", Endless: "retryable", Redirect: "permanent", Leaking: "retryable", Unreachable: "retryable",
}

func classified(t T, h Harness) {
	s := h.Open(t)
	for _, f := range faults {
		if !h.has(f) {
			continue
		}
		s.Behave(f)
		err := send(t.Context(), t, h, s)
		if got := class(err); got != classes[f] {
			t.Errorf("%s: the error is %s, not %s: %v", f, got, classes[f], err)
		}
		if got := s.Received(); len(got) > 0 {
			t.Fatalf("%s: it arrived", f)
		}
	}
}

func again(t T, h Harness) {
	s := h.Open(t)
	s.Behave(Busy)
	if err := send(t.Context(), t, h, s); err == nil {
		t.Errorf("the service was busy and Send returned nil")
	}
	s.Behave(Healthy)
	if err := send(t.Context(), t, h, s); err != nil {
		t.Errorf("Send: %v", err)
	}
	if got := len(s.Received()); got != 1 {
		t.Errorf("%d arrived", got)
	}
}

func secret(t T, h Harness) {
	s := h.Open(t)
	check := func(where, text string) {
		for i, secret := range h.Secrets {
			for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
				if strings.Contains(text, form) {
					t.Errorf("%s shows secret %d: %s", where, i, text)
					return
				}
			}
		}
	}
	look := func(where string, v any) {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
		encoded, err := json.Marshal(v)
		check(where, fmt.Sprintf("%v %+v %#v %s %s %v", v, v, v, log.String(), encoded, err))
	}
	look("the sender", s.Sender)
	for _, f := range faults {
		if h.has(f) {
			s.Behave(f)
			for _, err := range chain(send(t.Context(), t, h, s)) {
				look(string(f)+": the error", err)
			}
		}
	}
	s = h.Open(t)
	s.Behave(Silent)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	for _, err := range chain(send(ctx, t, h, s)) {
		look("time-out: the error", err)
	}
}

// chain returns err and all that it wraps.
func chain(err error) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	switch e := err.(type) { //nolint:errorlint // this is what unwraps
	case interface{ Unwrap() error }:
		all = append(all, chain(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = append(all, chain(inner)...)
		}
	}
	return all
}
