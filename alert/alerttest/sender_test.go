package alerttest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	send   func(ctx context.Context, s *sender, text string) error
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
	return s.send(ctx, s, s.text(n))
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

func soundSend(ctx context.Context, s *sender, text string) error {
	return sendWith(ctx, s, text, func(status int, header http.Header, body string) error {
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

func sendWith(ctx context.Context, s *sender, text string, judge func(status int, header http.Header, body string) error) error {
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
