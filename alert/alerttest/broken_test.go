package alerttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
)

const token = "canary0token0of0the0test"

const maxText = 2000

// sender is sound, except for what a test breaks.
type sender struct {
	url    string
	client *http.Client
	text   func(n alert.Notification) string
	send   func(s *sender, ctx context.Context, text string) error
	mutate func(n alert.Notification)
	shown  bool // what it prints shows the token
	mu     *sync.Mutex
}

func (s *sender) String() string {
	if s.shown {
		return s.url
	}
	return "test sender"
}

func (s *sender) GoString() string { return s.String() }

func (s *sender) Send(ctx context.Context, n alert.Notification) error {
	if s.mutate != nil {
		s.mutate(n)
	}
	return s.send(s, ctx, s.text(n))
}

func line(s string, limit int) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == '\u2028' {
			return ' '
		}
		return r
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

func soundText(n alert.Notification) string { return textWith(n, line) }

func textWith(n alert.Notification, line func(string, int) string) string {
	var b strings.Builder
	fmt.Fprintln(&b, n.Status, n.Severity, n.Name, n.Count, n.Link)
	fmt.Fprintln(&b, line(n.Handler, 100), line(n.Topic, 100), line(n.Summary, 200))
	for _, s := range n.Samples[max(0, len(n.Samples)-1):] {
		fmt.Fprintln(&b, line(s.Key, 100), line(s.Reason, 200))
	}
	for _, d := range n.Digest {
		fmt.Fprintln(&b, d.Name, d.Handler, d.Count)
	}
	return b.String()
}

func soundSend(s *sender, ctx context.Context, text string) error {
	return sendWith(s, ctx, text, func(status int, header http.Header, body string) error {
		switch {
		case status == 429:
			seconds, err := strconv.Atoi(header.Get("Retry-After"))
			if err != nil {
				seconds = 60
			}
			return &alert.SendError{Until: time.Now().Add(time.Duration(seconds) * time.Second), Err: errors.New("limited")}
		case status >= 500:
			return &alert.SendError{Retryable: true, Err: fmt.Errorf("HTTP %d", status)}
		case status == 403 || status >= 300 && status < 400:
			return &alert.SendError{Permanent: true, Err: fmt.Errorf("HTTP %d", status)}
		case status >= 400:
			return &alert.SendError{Err: fmt.Errorf("HTTP %d", status)}
		case body != "ok":
			return &alert.SendError{Retryable: true, Err: errors.New("not ok")}
		}
		return nil
	})
}

func sendWith(s *sender, ctx context.Context, text string, judge func(status int, header http.Header, body string) error) error {
	body, err := json.Marshal(text)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return errors.New("bad request")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return &alert.SendError{Retryable: true, Err: ctx.Err()}
		}
		return &alert.SendError{Retryable: true, Err: errors.New("no answer")}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		return &alert.SendError{Retryable: true, Err: errors.New("half an answer")}
	}
	return judge(resp.StatusCode, resp.Header, string(answer))
}

func harness(change func(s *sender)) alerttest.Harness {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			s := &sender{url: base + "/" + token, client: client, text: soundText, send: soundSend, mu: &sync.Mutex{}}
			change(s)
			return s, nil
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Body: "ok"},
			alerttest.Busy:    {Status: 500, Body: alerttest.Echo},
			alerttest.Limited: {Status: 429, Header: map[string]string{"Retry-After": "30"}},
			alerttest.Broken:  {Status: 403, Body: alerttest.Echo},
			alerttest.Refused: {Status: 400, Body: alerttest.Echo},
		},
		Text: func(_ *http.Request, body []byte) (string, error) {
			var text string
			err := json.Unmarshal(body, &text)
			return text, err
		},
	}
	return alerttest.Harness{
		Open: service.Open, Secrets: []string{token}, MaxText: maxText, Patience: 500 * time.Millisecond,
		Size: func(s string) int { return len(s) },
	}
}

func TestASoundSenderPasses(t *testing.T) { alerttest.Run(t, harness(func(*sender) {})) }

// broken lists what is broken, and the beginning of the case that must notice.
var broken = []struct {
	name   string
	change func(s *sender)
	caught string
}{
	{"says nothing of the error", func(s *sender) {
		s.text = func(n alert.Notification) string { n.Samples = nil; return soundText(n) }
	}, "a notification arrives"},
	{"drops the message and reports success", func(s *sender) {
		s.send = func(*sender, context.Context, string) error { return nil }
	}, "a notification arrives"},
	{"tells of what is resolved as if it fired", func(s *sender) {
		s.text = func(n alert.Notification) string { n.Status = alert.Firing; return soundText(n) }
	}, "a resolved notification"},
	{"forgets the digest", func(s *sender) {
		s.text = func(n alert.Notification) string { n.Digest = nil; return soundText(n) }
	}, "a digest"},
	{"does not shorten", func(s *sender) {
		s.text = func(n alert.Notification) string {
			return textWith(n, func(s string, _ int) string { return line(s, 1<<30) })
		}
	}, "a text stays within"},
	{"cuts within a rune", func(s *sender) {
		s.text = func(n alert.Notification) string {
			return textWith(n, func(s string, limit int) string { return s[:min(len(s), limit)] })
		}
	}, "a text stays within"},
	{"cuts the end off, with the link in it", func(s *sender) {
		s.text = func(n alert.Notification) string {
			link := n.Link
			n.Link = ""
			return line(strings.ReplaceAll(textWith(n, func(s string, _ int) string { return line(s, 1<<30) })+link, "\n", " "), maxText)
		}
	}, "a text stays within"},
	{"passes line breaks on", func(s *sender) {
		s.text = func(n alert.Notification) string {
			return textWith(n, func(s string, limit int) string { return strings.ToValidUTF8(s, "?")[:min(len(s), limit)] })
		}
	}, "no value writes"},
	{"changes the labels", func(s *sender) {
		s.mutate = func(n alert.Notification) {
			maps.DeleteFunc(n.Labels, func(string, string) bool { return true })
		}
	}, "a notification is not changed"},
	{"does without the context", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			return soundSend(s, context.WithoutCancel(ctx), text)
		}
	}, "Send returns when"},
	{"says of a time-out that the message is refused", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			if err := soundSend(s, ctx, text); ctx.Err() != nil {
				return &alert.SendError{Err: fmt.Errorf("%w", errors.Join(err, ctx.Err()))}
			}
			return nil
		}
	}, "Send returns when"},
	{"hides that the context ended", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			if err := soundSend(s, ctx, text); err != nil {
				return &alert.SendError{Retryable: true, Err: errors.New("failed")}
			}
			return nil
		}
	}, "nothing is sent on a context"},
	{"takes every answer with HTTP 200 for success", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			return sendWith(s, ctx, text, func(status int, h http.Header, _ string) error {
				if status == 200 {
					return nil
				}
				return soundSend(s, ctx, text)
			})
		}
	}, "an error says what to do next"},
	{"offers what is refused for ever", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			var failed *alert.SendError
			if err := soundSend(s, ctx, text); errors.As(err, &failed) && !failed.Permanent && failed.Until.IsZero() {
				return &alert.SendError{Retryable: true, Err: failed.Err}
			}
			return nil
		}
	}, "an error says what to do next"},
	{"follows redirects", func(s *sender) {
		s.client.CheckRedirect = nil
	}, "an error says what to do next"},
	{"reads an answer without an end", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(`"x"`))
			if err != nil {
				return err
			}
			resp, err := s.client.Do(req)
			if err != nil {
				return soundSend(s, ctx, text)
			}
			defer resp.Body.Close()
			if resp.StatusCode == 200 && resp.ContentLength < 0 {
				if _, err := io.Copy(io.Discard, resp.Body); err == nil {
					<-ctx.Done() // as long as the answer goes on
				}
			}
			return soundSend(s, ctx, text)
		}
	}, "an error says what to do next"},
	{"says Until and Retryable", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			var failed *alert.SendError
			err := soundSend(s, ctx, text)
			if errors.As(err, &failed) && !failed.Until.IsZero() {
				failed.Retryable = true
			}
			return err
		}
	}, "an error says what to do next"},
	{"sends twice after a failure", func(s *sender) {
		failed := false
		s.send = func(s *sender, ctx context.Context, text string) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			err := soundSend(s, ctx, text)
			if err == nil && failed {
				err = soundSend(s, ctx, text)
			}
			failed = err != nil
			return err
		}
	}, "what failed can be offered again"},
	{"returns the transport's error", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
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
		s.send = func(s *sender, ctx context.Context, text string) error {
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
		s.send = func(s *sender, ctx context.Context, text string) error {
			return sendWith(s, ctx, text, func(status int, _ http.Header, body string) error {
				if status == 200 {
					return nil
				}
				return &alert.SendError{Retryable: true, Err: errors.New(body)}
			})
		}
	}, "no secret"},
	{"prints its address", func(s *sender) { s.shown = true }, "no secret"},
	{"loses what is sent at once", func(s *sender) {
		s.send = func(s *sender, ctx context.Context, text string) error {
			if !s.mu.TryLock() {
				return nil
			}
			defer s.mu.Unlock()
			return soundSend(s, ctx, text)
		}
	}, "many goroutines"},
}

// quiet says nothing and wraps everything.
type quiet struct{ error }

func (quiet) Error() string   { return "failed" }
func (q quiet) Unwrap() error { return q.error }

func TestEachBrokenSenderIsCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			for _, c := range alerttest.Cases() {
				if !strings.HasPrefix(c.Name, b.caught) {
					continue
				}
				caught[c.Name] = true
				if failed := failures(t, c, harness(b.change)); len(failed) == 0 {
					t.Errorf("%q passes", c.Name)
				} else {
					t.Logf("%.200s", failed[0])
				}
				return
			}
			t.Errorf("there is no case %q", b.caught)
		})
	}
	for _, c := range alerttest.Cases() {
		if !caught[c.Name] {
			t.Errorf("no broken sender shows that %q can fail", c.Name)
		}
	}
}

// recorder is a T that remembers failures instead of failing the test.
type recorder struct {
	ctx      context.Context
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func failures(t *testing.T, c alerttest.Case, h alerttest.Harness) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(r, h)
	}()
	<-done
	cancel()
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

func Example() {
	for _, c := range alerttest.Cases()[:3] {
		fmt.Println(c.Name)
	}
	// Output:
	// a notification arrives and names handler, topic, key, error, count and link
	// a resolved notification says so
	// a digest tells what it stands for
}
