package netguard_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/netguard"
)

func client(t *testing.T, cfg netguard.Config) *http.Client {
	t.Helper()
	c := guard(t, cfg).Client()
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func server(t *testing.T, h http.HandlerFunc) (url string, hits *atomic.Int64) {
	t.Helper()
	hits = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, hits
}

func get(t *testing.T, c *http.Client, url string) (status int, body []byte, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "internal") }

func TestThisMachineIsReachedOnlyWhereItIsAllowed(t *testing.T) {
	url, hits := server(t, ok)
	port := url[strings.LastIndex(url, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		if _, _, err := get(t, client(t, netguard.Config{}), "http://"+host+port); !errors.Is(err, netguard.ErrRefused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if hits.Load() != 0 {
		t.Error("the server was reached")
	}
	// A plain client reaches it by each of these.
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"} {
		plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if _, body, err := get(t, plain, "http://"+host+port); err != nil || string(body) != "internal" {
			t.Errorf("plain %s: %s, %v", host, body, err)
		}
	}
	for _, cfg := range []netguard.Config{{AllowPrivate: true}, {Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}} {
		if _, body, err := get(t, client(t, cfg), url); err != nil || string(body) != "internal" {
			t.Errorf("%+v: %s, %v", cfg, body, err)
		}
	}
}

// resolver answers each question for an A record by the next of the addresses; the
// last is repeated.
func resolver(addresses ...string) (r *net.Resolver, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	answer := func(query []byte) []byte {
		end := 12
		for query[end] != 0 {
			end += int(query[end]) + 1
		}
		end++
		question := query[12 : end+4]
		reply := append([]byte(nil), query[:2]...)
		isA := binary.BigEndian.Uint16(query[end:]) == 1
		answers := byte(0)
		if isA {
			answers = 1
		}
		reply = append(reply, 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0)
		reply = append(reply, question...)
		if isA {
			n := asked.Add(1)
			ip := netip.MustParseAddr(addresses[min(int(n), len(addresses))-1]).As4()
			reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			reply = append(reply, ip[:]...)
		}
		return reply
	}
	dial := func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for {
				var length [2]byte
				if _, err := io.ReadFull(theirs, length[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(theirs, query); err != nil {
					return
				}
				reply := answer(query)
				if _, err := theirs.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}
	return &net.Resolver{PreferGo: true, Dial: dial}, asked
}

func TestAResolverThatChangesItsMindGainsNothing(t *testing.T) {
	url, hits := server(t, ok)
	port := url[strings.LastIndex(url, ":"):]
	r, asked := resolver("203.0.114.7", "127.0.0.1")
	// Whoever looks the name up before connecting sees a public address.
	first, err := r.LookupNetIP(t.Context(), "ip4", "rebind.example")
	if err != nil || len(first) != 1 || first[0].IsLoopback() {
		t.Fatal(first, err)
	}
	raw := "http://rebind.example" + port
	if err := netguard.CheckURL(raw); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, client(t, netguard.Config{Resolver: r}), raw); !errors.Is(err, netguard.ErrRefused) {
		t.Error(err)
	}
	if asked.Load() < 2 || hits.Load() != 0 {
		t.Errorf("asked %d times, reached %d times", asked.Load(), hits.Load())
	}
	if _, body, err := get(t, client(t, netguard.Config{Resolver: r, AllowPrivate: true}), raw); err != nil || string(body) != "internal" {
		t.Errorf("the test proves nothing: %s, %v", body, err)
	}
}

func TestARedirectIsAnAnswerAndNotFollowed(t *testing.T) {
	inner, hits := server(t, ok)
	for _, target := range []string{"http://169.254.169.254/latest/meta-data", inner} {
		url, _ := server(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
		status, _, err := get(t, client(t, netguard.Config{AllowPrivate: true}), url)
		if err != nil || status != http.StatusFound {
			t.Errorf("%s: %d, %v", target, status, err)
		}
	}
	if hits.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestTheProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	proxy, hits := server(t, ok)
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	r, _ := resolver("127.0.0.1")
	if _, _, err := get(t, client(t, netguard.Config{Resolver: r}), "http://partner.example:1"); !errors.Is(err, netguard.ErrRefused) || hits.Load() != 0 {
		t.Errorf("%d requests through the proxy, %v", hits.Load(), err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   func(body []byte, err error, took time.Duration) bool
		late   bool // it is for the timeout to end it
	}{
		"endless": {answer: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<10)); err != nil {
					return
				}
			}
		}, want: func(body []byte, err error, _ time.Duration) bool {
			return errors.Is(err, netguard.ErrTooLarge) && len(body) == 1000
		}},
		"just fits": {answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) },
			want: func(body []byte, err error, _ time.Duration) bool { return err == nil && len(body) == 1000 }},
		"one more": {answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1001)) },
			want: func(body []byte, err error, _ time.Duration) bool {
				return errors.Is(err, netguard.ErrTooLarge) && len(body) == 1000
			}},
		"drip": {late: true, answer: func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-tick.C:
				}
			}
		}, want: func(_ []byte, err error, took time.Duration) bool {
			return netguard.Timeout(err) && took < 5*time.Second
		}},
		"mute": {late: true, answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			want: func(_ []byte, err error, took time.Duration) bool {
				return netguard.Timeout(err) && took < 5*time.Second
			}},
		"gzip bomb": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 500_000)) // 500 bytes when packed
			_ = z.Close()
		}, want: func(body []byte, err error, _ time.Duration) bool {
			return err == nil && len(body) < 1000 && bytes.HasPrefix(body, []byte{0x1f, 0x8b})
		}},
		"endless header": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 128<<10))
		}, want: func(_ []byte, err error, _ time.Duration) bool { return err != nil }},
	} {
		url, _ := server(t, c.answer)
		limit := time.Minute
		if c.late {
			limit = 300 * time.Millisecond
		}
		began := time.Now()
		_, body, err := get(t, client(t, netguard.Config{AllowPrivate: true, MaxBody: 1000, Timeout: limit}), url)
		if took := time.Since(began); !c.want(body, err, took) {
			t.Errorf("%s: %d bytes after %s, %v", name, len(body), took, err)
		}
	}
}

func TestTheURLIsTakenOutOfErrors(t *testing.T) {
	_, _, err := get(t, client(t, netguard.Config{}), "http://127.0.0.1/canary?token=canary")
	if err == nil || !strings.Contains(err.Error(), "canary") {
		t.Fatalf("the test proves nothing: %v", err)
	}
	if stripped := netguard.Strip(err); strings.Contains(stripped.Error(), "canary") || !errors.Is(stripped, netguard.ErrRefused) {
		t.Error(stripped)
	}
}
