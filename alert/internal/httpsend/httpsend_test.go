package httpsend_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/internal/httpsend"
)

const secret = "canary/0secret+of=the%test"

func client(t *testing.T, raw string, cfg httpsend.Config) *httpsend.Client {
	t.Helper()
	target, err := httpsend.ParseTarget(raw, httpsend.Rules{Plain: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := httpsend.New(target, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryFormOfASecretIsTakenOut(t *testing.T) {
	s := httpsend.NewScrubber(secret, "abc", "", `quo"ted secret`)
	for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), `quo"ted secret`, `quo\"ted secret`} {
		if got := s.Text("before " + form + " after"); got != "before *** after" {
			t.Errorf("%s: %s", form, got)
		}
	}
	if got := s.Text("abc is too short to be told from a word"); !strings.HasPrefix(got, "abc") {
		t.Error(got)
	}
}

func TestAnErrorKeepsItsCauseAndNothingElse(t *testing.T) {
	inner := &url.Error{Op: "Post", URL: "https://x/" + secret, Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
	err := httpsend.NewScrubber(secret).Error("send to x", fmt.Errorf("outer: %w", inner))
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, ok := errors.AsType[*url.Error](err); ok || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "https://") {
		t.Errorf("%#v", err)
	}
}

func TestStatusesSayWhatToDoNext(t *testing.T) {
	for status, want := range map[int]alert.SendError{
		301: {Permanent: true}, 308: {Permanent: true},
		400: {}, 413: {}, 422: {},
		401: {Permanent: true}, 403: {Permanent: true}, 404: {Permanent: true}, 405: {Permanent: true}, 410: {Permanent: true},
		408: {Retryable: true}, 425: {Retryable: true}, 500: {Retryable: true}, 502: {Retryable: true}, 503: {Retryable: true}, 504: {Retryable: true},
		429: {Until: time.Unix(60, 0)},
	} {
		base, _ := alerttest.Capture(t, alerttest.Answer{Status: status, Body: "the  reason\nis this"})
		_, err := client(t, base, httpsend.Config{Now: func() time.Time { return time.Unix(0, 0) }}).Do(t.Context(), httpsend.Request{Body: []byte("{}")})
		var got *alert.SendError
		if !errors.As(err, &got) || got.Retryable != want.Retryable || got.Permanent != want.Permanent || !got.Until.Equal(want.Until) {
			t.Errorf("%d: %v", status, err)
		}
		if status >= 400 && !strings.Contains(err.Error(), fmt.Sprintf("HTTP %d: the reason is this", status)) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// What is shown of an answer ends somewhere, which must not be within a secret.
func TestASecretIsTakenOutBeforeAnAnswerIsShortened(t *testing.T) {
	for before := 150; before < 1010; before++ {
		answer := strings.Repeat("x ", before/2) + strings.Repeat(" ", before) + secret
		base, _ := alerttest.Capture(t, alerttest.Answer{Status: http.StatusBadRequest, Body: answer})
		c := client(t, base, httpsend.Config{Secrets: []string{secret}})
		_, failed := c.Do(t.Context(), httpsend.Request{Body: []byte("{}")})
		judged := c.Judge([]byte(`{"code":1,"msg":`+strconv.Quote(answer)+`}`), httpsend.Codes{Code: "code", Text: "msg"})
		garbled := c.Judge([]byte(answer), httpsend.Codes{})
		for _, err := range []error{failed, judged, garbled} {
			if err == nil || strings.Contains(err.Error(), secret[:5]) {
				t.Fatalf("%d before: %v", before, err)
			}
		}
	}
}

func TestARequestEndsAtItsTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := client(t, "http://"+listener.Addr().String(), httpsend.Config{Timeout: 20 * time.Millisecond})
	if _, err := c.Do(t.Context(), httpsend.Request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestTheClientThatWasGivenIsNotChanged(t *testing.T) {
	given := &http.Client{}
	base, _ := alerttest.Capture(t, alerttest.Answer{Status: 302, Header: map[string]string{"Location": "/x"}})
	if _, err := client(t, base, httpsend.Config{Client: given}).Do(t.Context(), httpsend.Request{}); err == nil {
		t.Error("a redirect is a success")
	}
	if given.CheckRedirect != nil {
		t.Error("the caller's client follows no redirects any more")
	}
}

func TestACodeThatIsNoNumberIsNoSuccess(t *testing.T) {
	c := client(t, "https://x.example", httpsend.Config{})
	codes := httpsend.Codes{Code: "errcode", Text: "errmsg"}
	for _, body := range []string{``, `null`, `[]`, `{}`, `{"errcode":null}`, `{"errcode":"0"}`, `{"errcode":0.5}`, `{"code":0}`, `{"errcode":0`} {
		var failed *alert.SendError
		if err := c.Judge([]byte(body), codes); !errors.As(err, &failed) || !failed.Retryable {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := c.Judge([]byte(`{"errcode":0}`), codes); err != nil {
		t.Error(err)
	}
}

func FuzzTargetsNeverShowTheirSecret(f *testing.F) {
	for _, seed := range []string{"https://h/%s", "https://u:%s@h", "http://h?x=%s", "%s", "https://%s@h:0/", "ftp://h/%s", "https://h/a@%s", "https://h:%s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		_, err := httpsend.ParseTarget(strings.ReplaceAll(pattern, "%s", "canary0token"), httpsend.Rules{Path: true, Query: "key"})
		if err != nil && strings.Contains(err.Error(), "canary0token") {
			t.Error(err)
		}
	})
}
