package notifytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Call is a request that a partner got.
type Call struct {
	At, Ended time.Time
	Host      string
	N         int // of this host, from 1
	Header    http.Header
	Body      []byte
	CutOff    bool
}

// Answer is what a partner says.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
	After  time.Duration // before the answer, or before Err
	Err    error         // in place of an answer
}

// Hang is an answer that never comes.
const Hang = 365 * 24 * time.Hour

// ErrRefused is what a partner who is down answers.
var ErrRefused = errors.New("connect: connection refused")

// Partner is an http.RoundTripper that answers for every host.
type Partner struct {
	mu     sync.Mutex
	calls  []Call
	count  map[string]int
	answer func(c Call) Answer
}

// NewPartner returns one that answers 204.
func NewPartner() *Partner {
	return &Partner{count: map[string]int{}, answer: func(Call) Answer { return Answer{Status: http.StatusNoContent} }}
}

// Answers says what it answers from now on.
func (p *Partner) Answers(fn func(c Call) Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = fn
}

// Calls returns the calls of a target's host, or all where it is "".
func (p *Partner) Calls(target string) (out []Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if target == "" || c.Host == target+".example" {
			out = append(out, c)
		}
	}
	return out
}

// RoundTrip is http.RoundTripper's.
func (p *Partner) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.count[r.URL.Host]++
	c := Call{At: time.Now(), Host: r.URL.Host, N: p.count[r.URL.Host], Header: r.Header.Clone(), Body: body}
	p.calls = append(p.calls, c)
	i, answer := len(p.calls)-1, p.answer
	p.mu.Unlock()
	a := answer(c)
	err = wait(r.Context(), a.After)
	p.mu.Lock()
	p.calls[i].Ended, p.calls[i].CutOff = time.Now(), err != nil
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if a.Err != nil {
		return nil, a.Err
	}
	h := http.Header{}
	for name, value := range a.Header {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: a.Status, Header: h, Body: io.NopCloser(strings.NewReader(a.Body)), Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
