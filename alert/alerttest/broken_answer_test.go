package alerttest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluicegate/sluicegate/alert"
)

// brokenAnswers are about what Send returns, and when.
var brokenAnswers = []breakage{
	{"does without the context", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			return soundSend(context.WithoutCancel(ctx), s, text)
		}
	}, "Send returns when"},
	{"says of a time-out that the message is refused", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			if err := soundSend(ctx, s, text); ctx.Err() != nil {
				return &alert.SendError{Err: fmt.Errorf("%w", errors.Join(err, ctx.Err()))}
			}
			return nil
		}
	}, "Send returns when"},
	{"hides that the context ended", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			if err := soundSend(ctx, s, text); err != nil {
				return &alert.SendError{Retryable: true, Err: errors.New("failed")}
			}
			return nil
		}
	}, "nothing is sent on a context"},
	{"takes every answer with HTTP 200 for success", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			return sendWith(ctx, s, text, func(status int, h http.Header, _ string) error {
				if status == 200 {
					return nil
				}
				return soundSend(ctx, s, text)
			})
		}
	}, "an error says what to do next"},
	{"offers what is refused for ever", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			var failed *alert.SendError
			if err := soundSend(ctx, s, text); errors.As(err, &failed) && !failed.Permanent && failed.Until.IsZero() {
				return &alert.SendError{Retryable: true, Err: failed.Err}
			}
			return nil
		}
	}, "an error says what to do next"},
	{"follows redirects", func(s *sender) {
		s.client.CheckRedirect = nil
	}, "an error says what to do next"},
	{"reads an answer without an end", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(`"x"`))
			if err != nil {
				return err
			}
			resp, err := s.client.Do(req)
			if err != nil {
				return soundSend(ctx, s, text)
			}
			defer resp.Body.Close()
			if resp.StatusCode == http.StatusOK && resp.ContentLength < 0 {
				if _, err := io.Copy(io.Discard, resp.Body); err == nil {
					<-ctx.Done() // as long as the answer goes on
				}
			}
			return soundSend(ctx, s, text)
		}
	}, "an error says what to do next"},
	{"says Until and Retryable", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			var failed *alert.SendError
			err := soundSend(ctx, s, text)
			if errors.As(err, &failed) && !failed.Until.IsZero() {
				failed.Retryable = true
			}
			return err
		}
	}, "an error says what to do next"},
	{"sends twice after a failure", func(s *sender) {
		failed := false
		s.send = func(ctx context.Context, s *sender, text string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			err := soundSend(ctx, s, text)
			if err == nil && failed {
				err = soundSend(ctx, s, text)
			}
			failed = err != nil
			return err
		}
	}, "what failed can be offered again"},
	{"returns the transport's error", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(`"x"`))
			if err != nil {
				return err
			}
			resp, err := s.client.Do(req)
			if err != nil {
				return &alert.SendError{Retryable: true, Err: err}
			}
			defer resp.Body.Close()
			return nil
		}
	}, "no secret"},
	{"hides the transport's error, and wraps it", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(`"x"`))
			if err != nil {
				return err
			}
			resp, err := s.client.Do(req)
			if err != nil {
				return &alert.SendError{Retryable: true, Err: quiet{err}}
			}
			defer resp.Body.Close()
			return nil
		}
	}, "no secret"},
	{"quotes what the service quotes", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			return sendWith(ctx, s, text, func(status int, _ http.Header, body string) error {
				if status == 200 {
					return nil
				}
				return &alert.SendError{Retryable: true, Err: errors.New(body)}
			})
		}
	}, "no secret"},
	{"prints its address", func(s *sender) { s.shown = true }, "no secret"},
	{"loses what is sent at once", func(s *sender) {
		s.send = func(ctx context.Context, s *sender, text string) error {
			if !s.mu.TryLock() {
				return nil
			}
			defer s.mu.Unlock()
			return soundSend(ctx, s, text)
		}
	}, "many goroutines"},
}

// quiet says nothing and wraps everything.
type quiet struct{ error }

func (quiet) Error() string   { return "failed" }
func (q quiet) Unwrap() error { return q.error }
