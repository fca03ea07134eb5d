package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// way is how the copy service behaves for one call.
type way int

const (
	early  way = iota // calls back before our row is there
	atOnce            // before it has even answered our request
	twice             // and each callback to another node
	late              // after we have asked
	forged            // never, but somebody else does
	never
	flaky  // its requests fail at first, and its queries for ever
	denied // refuses the request
	silent // says nothing at all: the call times out
	ways
)

func (w way) String() string {
	return [...]string{"early", "at once", "twice", "late", "forged", "never", "flaky", "denied", "silent"}[w]
}

// plan is one call and its truth.
type plan struct {
	number string
	way    way
	fails  bool
	slow   bool // an early callback comes so much too early that it is parked
}

func (p plan) truth() string {
	switch {
	case p.way == silent:
		return "timed_out"
	case p.fails, p.way == denied:
		return "failed"
	}
	return "succeeded"
}

// partner is the copy service.
type partner struct {
	url, secret string
	server      *http.Server
	callbacks   [2]string // where our nodes are called back
	work        sync.WaitGroup

	mu      sync.Mutex
	plans   map[string]plan
	sends   map[string]int
	answers map[string]int // to its callbacks, as "early: 200"
}

func newPartner(secret string) (*partner, error) {
	p := &partner{secret: secret, plans: map[string]plan{}, sends: map[string]int{}, answers: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /copies", p.copy)
	mux.HandleFunc("GET /copies/{number}", p.status)
	var err error
	p.server, p.url, err = serve(mux)
	return p, err
}

// serve serves h on a port of this machine.
func serve(h http.Handler) (*http.Server, string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen: %w", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.Serve(l) }() // ends with Close
	return s, "http://" + l.Addr().String(), nil
}

func (p *partner) wait() { p.work.Wait() }

func (p *partner) close() {
	p.wait()
	_ = p.server.Close()
}

// learn tells the partner what it will be asked for.
func (p *partner) learn(what plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans[what.number] = what
}

func (p *partner) find(number string) (what plan, sends int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sends[number]++
	return p.plans[number], p.sends[number]
}

// copy takes a request. It takes each Idempotency-Key once.
func (p *partner) copy(w http.ResponseWriter, r *http.Request) {
	what, n := p.find(r.Header.Get("Idempotency-Key"))
	switch {
	case what.way == denied:
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	case what.way == flaky && n < 3:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case n > 1 && what.way != flaky:
		w.WriteHeader(http.StatusConflict)
		return
	case what.way == atOnce:
		p.back(what, 0, p.secret)
	case what.way == twice:
		p.later(what, 20*time.Millisecond, 0, p.secret)
		p.later(what, 20*time.Millisecond, 1, p.secret)
	case what.way == late, what.way == flaky:
		p.later(what, 1500*time.Millisecond, 1, p.secret)
	case what.way == forged:
		lie := what
		lie.fails = !what.fails
		p.later(lie, 10*time.Millisecond, 0, newSecret())
	}
	w.WriteHeader(http.StatusAccepted)
}

// status answers a query.
func (p *partner) status(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	what := p.plans[path.Base(r.URL.Path)]
	p.mu.Unlock()
	if what.way == flaky || what.way == silent {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	_, _ = fmt.Fprintf(w, `{"status": %q}`, what.truth())
}

// later calls back node n after a while.
func (p *partner) later(what plan, after time.Duration, n int, secret string) {
	p.work.Go(func() {
		<-time.After(after)
		p.back(what, n, secret)
	})
}

// back calls back, signed as Standard Webhooks 1.0.0 say, and again where it is told
// to.
func (p *partner) back(what plan, n int, secret string) {
	body := fmt.Appendf(nil, `{"number": %q, "status": %q, "data": {"room": 8}}`, what.number, what.truth())
	for range 20 {
		code, err := post(p.callbacks[n], secret, body)
		if err == nil && code != http.StatusServiceUnavailable {
			p.mu.Lock()
			p.answers[fmt.Sprintf("%s: %d", what.way, code)]++
			p.mu.Unlock()
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

func post(url, secret string, body []byte) (int, error) {
	id, at := rand.Text(), strconv.FormatInt(time.Now().Unix(), 10)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return 0, errors.New("the secret is not base64")
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, body)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("make callback: %w", err)
	}
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", at)
	r.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := client.Do(r)
	if err != nil {
		return 0, fmt.Errorf("call back: %w", err)
	}
	return resp.StatusCode, resp.Body.Close()
}

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}
