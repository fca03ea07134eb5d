package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The ways in which an order can go, by its number.
const (
	fine      = iota // at once
	broken           // 500 the first time
	hanging          // no answer the first time
	lost             // the label is made the first time, and the answer lost
	limited          // 429 the first time
	wrong            // 422 until the address is put right
	withdrawn        // 500 until it is withdrawn
	kinds
)

// carrier is a fake, on a port of its own. It knows an idempotency key again, as any partner
// that is worth it does.
type carrier struct {
	url    string
	server *http.Server
	ended  chan error

	mu     sync.Mutex
	here   bool
	right  bool           // the addresses are
	calls  map[string]int // by key
	labels map[string]int // how many were made, by key
}

func startCarrier(ctx context.Context) (*carrier, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start carrier: %w", err)
	}
	c := &carrier{url: "http://" + l.Addr().String(), ended: make(chan error, 1), calls: map[string]int{}, labels: map[string]int{}}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: time.Second}
	go func() { c.ended <- c.server.Serve(l) }()
	return c, nil
}

func (c *carrier) close() error {
	if err := c.server.Close(); err != nil {
		return fmt.Errorf("stop carrier: %w", err)
	}
	if err := <-c.ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("carrier: %w", err)
	}
	return nil
}

func (c *carrier) back() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.here = true
}

func (c *carrier) putRight() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.right = true
}

// kindOf says how an order goes.
func kindOf(order string) int { return number(order) % kinds }

// number is that of an order; one that has none is wrong.
func number(order string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(order, "order-"))
	if err != nil || n < 0 {
		return wrong
	}
	return n
}

// ServeHTTP makes a label, or fails.
func (c *carrier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, hang := c.answer(r.Header.Get("Idempotency-Key"))
	switch {
	case hang:
		<-r.Context().Done() // until the caller has had enough
	case status == 0:
		panic(http.ErrAbortHandler) // the connection breaks
	case status == http.StatusOK:
		_, _ = fmt.Fprintf(w, "track-%s", orderID(number(r.Header.Get("Idempotency-Key"))))
	default:
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(status)
	}
}

// answer decides about one call: a status, none, or to hang.
func (c *carrier) answer(key string) (status int, hang bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.here {
		return http.StatusServiceUnavailable, false
	}
	c.calls[key]++
	first := c.calls[key] == 1
	switch kind := kindOf(key); {
	case kind == broken && first, kind == withdrawn:
		return http.StatusInternalServerError, false
	case kind == hanging && first:
		return 0, true
	case kind == limited && first:
		return http.StatusTooManyRequests, false
	case kind == wrong && !c.right:
		return http.StatusUnprocessableEntity, false
	case kind == lost && first:
		c.labels[key]++
		return 0, false
	}
	if c.labels[key] == 0 { // the key is known: the same label again, not another
		c.labels[key]++
	}
	return http.StatusOK, false
}
