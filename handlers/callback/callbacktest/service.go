package callbacktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/handlers/callback"
)

// service is the other side, as a transport of requests. It knows a call by its
// Idempotency-Key and takes each once.
type service struct {
	mu    sync.Mutex
	plans map[string]*plan
	began time.Time
	sent  map[string][]time.Duration // when requests came, by number
	asked map[string][]time.Duration
	taken map[string]bool
}

// plan is how the service behaves for one number. What is nil is as a good service
// does: it accepts, and says that it is at work.
type plan struct {
	// send answers the n-th request, from 1.
	send func(n int, r *http.Request) (*http.Response, error)
	// query answers the n-th query.
	query func(n int) (*http.Response, error)
	// work is called with the first request that is accepted, before its answer.
	work func()
}

func newService() *service {
	return &service{
		plans: map[string]*plan{}, sent: map[string][]time.Duration{}, asked: map[string][]time.Duration{}, taken: map[string]bool{}, began: time.Now(),
	}
}

func (v *service) plan(number string, p plan) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.plans[number] = &p
}

// RoundTrip is http.RoundTripper's.
func (v *service) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	if r.Method == http.MethodGet {
		return v.onQuery(path.Base(r.URL.Path))
	}
	number := r.Header.Get("Idempotency-Key")
	v.mu.Lock()
	v.sent[number] = append(v.sent[number], time.Since(v.began))
	n, p := len(v.sent[number]), v.plans[number]
	v.mu.Unlock()
	if p == nil {
		p = &plan{}
	}
	if p.send != nil {
		resp, err := p.send(n, r)
		if err != nil || resp.StatusCode >= 300 {
			return resp, err
		}
	}
	v.mu.Lock()
	first := !v.taken[number]
	v.taken[number] = true
	v.mu.Unlock()
	if first && p.work != nil {
		p.work()
	}
	return status(http.StatusAccepted), nil
}

func (v *service) onQuery(number string) (*http.Response, error) {
	v.mu.Lock()
	v.asked[number] = append(v.asked[number], time.Since(v.began))
	n, p := len(v.asked[number]), v.plans[number]
	v.mu.Unlock()
	if p == nil || p.query == nil {
		return said(callback.Pending), nil
	}
	return p.query(n)
}

func (v *service) sends(number string) []time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]time.Duration(nil), v.sent[number]...)
}

func (v *service) queries(number string) []time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]time.Duration(nil), v.asked[number]...)
}

var errAway = errors.New("connection refused")

func status(code int) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil))}
}

// said is the answer to a query.
func said(s callback.Status) *http.Response {
	raw, _ := json.Marshal(map[string]any{"status": s, "code": "q1"})
	resp := status(http.StatusOK)
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	return resp
}
