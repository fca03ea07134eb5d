package httpidem_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// serve runs h on a real server.
func serve(t *testing.T, h http.Handler) (url string, client *http.Client) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL, server.Client()
}

func posting(t *testing.T, url, key string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	must(t, err)
	r.Header.Set("X-Tenant", "a")
	r.Header.Set("Idempotency-Key", key)
	return r
}

// answer is a response that has been read.
type answer struct {
	status          int
	header, trailer http.Header
	body            string
}

func post(t *testing.T, client *http.Client, url, key string) answer {
	t.Helper()
	resp, err := client.Do(posting(t, url, key))
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header, resp.Trailer, string(b)}
}

func wantNotReplayable(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusConflict || !strings.Contains(a.body, "response-not-replayable") {
		t.Errorf("status %d, body %s", a.status, a.body)
	}
}

func TestAStreamGoesThroughAsItComesAndIsNotRepeated(t *testing.T) {
	arrived := make(chan struct{})
	events := &counter{then: func(w http.ResponseWriter, _ *http.Request, _ int) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "one\n")
		must(t, http.NewResponseController(w).Flush())
		<-arrived // the client has the first line while the handler runs
		_, _ = io.WriteString(w, "two\n")
		flusher, ok := w.(http.Flusher)
		if !ok {
			t.Error("no http.Flusher")
			return
		}
		flusher.Flush()
	}}
	url, client := serve(t, guard(t, memorystore.New(), nil).Middleware(events))
	resp, err := client.Do(posting(t, url, "k"))
	must(t, err)
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	line, err := lines.ReadString('\n')
	must(t, err)
	close(arrived)
	rest, err := io.ReadAll(lines)
	must(t, err)
	if resp.StatusCode != http.StatusAccepted || line+string(rest) != "one\ntwo\n" || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("status %d, %q, %v", resp.StatusCode, line+string(rest), resp.Header)
	}
	wantNotReplayable(t, post(t, client, url, "k"))
	events.want(t, 1)
}

func TestAResponseOverTheLimitGoesThroughWholeAndIsNotRepeated(t *testing.T) {
	for name, writes := range map[string][]int{"at once": {101}, "in parts": {60, 40, 1, 500}, "at the limit": {60, 40}} {
		t.Run(name, func(t *testing.T) {
			size := 0
			for _, n := range writes {
				size += n
			}
			report := &counter{then: func(w http.ResponseWriter, _ *http.Request, _ int) {
				for _, n := range writes {
					_, _ = io.WriteString(w, strings.Repeat("x", n))
				}
			}}
			url, client := serve(t, guard(t, memorystore.New(), func(c *httpidem.Config) { c.MaxResponse = 100 }).Middleware(report))
			if got := post(t, client, url, "k").body; len(got) != size {
				t.Errorf("%d bytes came, want %d", len(got), size)
			}
			again := post(t, client, url, "k")
			if size > 100 {
				wantNotReplayable(t, again)
			} else if len(again.body) != size {
				t.Errorf("%d bytes came again, want %d", len(again.body), size)
			}
			report.want(t, 1)
		})
	}
}

func TestAHijackedConnectionIsTheHandlersAndIsNotRepeated(t *testing.T) {
	upgrade := &counter{then: func(w http.ResponseWriter, _ *http.Request, _ int) {
		conn, _, err := http.NewResponseController(w).Hijack()
		must(t, err)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		must(t, conn.Close())
	}}
	guarded := guard(t, memorystore.New(), nil).Middleware(upgrade)
	settled := make(chan struct{}, 2)
	url, client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded.ServeHTTP(w, r)
		settled <- struct{}{}
	}))
	if got := post(t, client, url, "k").body; got != "hi" {
		t.Errorf("%q", got)
	}
	<-settled // what the handler wrote itself is with the client before the key is settled
	wantNotReplayable(t, post(t, client, url, "k"))
	upgrade.want(t, 1)
}

func TestDeadlinesReachTheConnectionAndInformationGoesThrough(t *testing.T) {
	h := guard(t, memorystore.New(), nil).Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		must(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)))
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
		if _, err := w.Write([]byte("x")); !errors.Is(err, http.ErrBodyNotAllowed) {
			t.Errorf("a body without content: %v", err)
		}
		w.WriteHeader(http.StatusTeapot) // too late, as in net/http
	}))
	url, client := serve(t, h)
	resp := post(t, client, url, "k")
	if resp.status != http.StatusNoContent || resp.header.Get("Link") == "" {
		t.Errorf("status %d, %v", resp.status, resp.header)
	}
}

// bare is a ResponseWriter without anything else.
type bare struct{ http.ResponseWriter }

func TestAWriterThatCannotStreamDoesNotBeginTo(t *testing.T) {
	var flush, hijack error
	h := guard(t, memorystore.New(), nil).Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "kept")
		flush = http.NewResponseController(w).Flush()
		_, _, hijack = http.NewResponseController(w).Hijack()
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(bare{w}, call{key: "k"}.request())
	if flush == nil || hijack == nil || w.Body.String() != "kept" {
		t.Errorf("flush %v, hijack %v, body %q", flush, hijack, w.Body)
	}
	again := call{key: "k"}.to(h)
	wantReplay(t, again, true)
}

func TestHeadersOfOuterMiddlewaresAndTrailersStay(t *testing.T) {
	inner := guard(t, memorystore.New(), nil).Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Del("X-Unwanted")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Late", "1")
		w.Header().Set("X-Sum", "42")
	}))
	url, client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "7")
		w.Header().Set("X-Unwanted", "1")
		inner.ServeHTTP(w, r)
	}))
	resp := post(t, client, url, "k")
	if resp.header.Get("X-Request-Id") != "7" || resp.header.Get("X-Unwanted") != "" || resp.header.Get("X-Late") != "" || resp.trailer.Get("X-Sum") != "42" {
		t.Errorf("header %v, trailer %v", resp.header, resp.trailer)
	}
	again := post(t, client, url, "k")
	if again.header.Get("X-Request-Id") != "7" || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("header %v", again.header)
	}
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	orders := created()
	url, _ := serve(t, guard(t, memorystore.New(), nil).Middleware(orders))
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(url, "http://"))
	must(t, err)
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Tenant: a\r\nIdempotency-Key: k\r\nContent-Length: 100\r\n\r\nhalf")
	must(t, err)
	half, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", conn)
	}
	must(t, half.CloseWrite())
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	_ = resp.Body.Close()
	must(t, conn.Close())
	orders.want(t, 0)
}

func TestAStatusThatIsNoneIsTheHandlersPanic(t *testing.T) {
	orders := &counter{then: func(w http.ResponseWriter, _ *http.Request, run int) {
		if run == 1 {
			w.WriteHeader(7)
		}
	}}
	h := guard(t, memorystore.New(), nil).Middleware(orders)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("status 7 was taken")
			}
		}()
		call{key: "k"}.to(h)
	}()
	wantReplay(t, call{key: "k"}.to(h), false)
	orders.want(t, 2)
}

func TestWhatIsOverTheLimitIsNotHeldInMemory(t *testing.T) {
	out := httptest.NewRecorder()
	h := guard(t, memorystore.New(), func(c *httpidem.Config) { c.MaxResponse = 100 }).Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, step := range []struct{ write, gone int }{{100, 0}, {1, 101}, {50, 151}} {
			_, _ = io.WriteString(w, strings.Repeat("x", step.write))
			if got := out.Body.Len(); got != step.gone {
				t.Errorf("%d bytes have gone out, want %d", got, step.gone)
			}
		}
	}))
	h.ServeHTTP(out, call{key: "k"}.request())
}
