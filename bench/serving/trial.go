package serving

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicegate/sluicegate/bench/latency"
)

// clients are how many requests can be under way, each on a connection that is kept.
const clients = 64

// trial is one handler under load.
type trial struct{ duration, settle time.Duration }

var runs atomic.Int64

// An order of usual size, and its answer.
var (
	order  = `{"customer":"c-4711","sku":"lamp","quantity":2,"amount":4200,"note":"` + strings.Repeat("n", 180) + `"}`
	answer = []byte(`{"id":4711,"status":"placed","note":"` + strings.Repeat("n", 160) + `"}`)
)

// run returns how long each request took: from the time at which it was due, where
// all clients were at work then, so that one that waits behind a slow one counts its
// wait; and else from the time at which it was sent.
func (t trial) run(ctx context.Context, wrap func(http.Handler) http.Handler) (times *latency.Times, err error) {
	var effects atomic.Int64
	handler := wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		effects.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(answer)
	}))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	var serving errgroup.Group
	serving.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	transport := &http.Transport{MaxIdleConns: clients, MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer func() {
		transport.CloseIdleConnections()
		err = errors.Join(err, server.Close(), serving.Wait())
	}()
	n := int(t.duration.Seconds() * perSecond)
	times, err = t.load(ctx, &http.Client{Transport: transport}, "http://"+listener.Addr().String()+"/orders", n)
	if err == nil && int(effects.Load()) != n {
		err = fmt.Errorf("%d requests had %d effects", n, effects.Load())
	}
	return times, err
}

func (t trial) load(ctx context.Context, client *http.Client, url string, n int) (*latency.Times, error) {
	keys := "r" + strconv.FormatInt(runs.Add(1), 36) + "-"
	times := &latency.Times{}
	var next atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range clients {
		g.Go(func() error {
			for {
				seq := int(next.Add(1)) - 1
				if seq >= n {
					return nil
				}
				after := time.Duration(seq) * time.Second / perSecond
				from := start.Add(after)
				if wait := time.Until(from); wait > 0 {
					if err := pause(ctx, wait); err != nil {
						return err
					}
					// A timer of an idle process is late by up to a millisecond, which
					// is not the server's time.
					from = time.Now()
				}
				if err := post(ctx, client, url, keys+strconv.Itoa(seq)); err != nil {
					return err
				}
				if after >= t.settle {
					times.Add(time.Since(from))
				}
			}
		})
	}
	return times, g.Wait()
}

func post(ctx context.Context, client *http.Client, url, key string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(order))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", `"`+key+`"`)
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
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
