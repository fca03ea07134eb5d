package outage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/circuit"
	"github.com/sluicegate/sluicegate/middleware/recovery"
	"github.com/sluicegate/sluicegate/middleware/retry"
	"github.com/sluicegate/sluicegate/middleware/timeout"
	"github.com/sluicegate/sluicegate/middleware/unavailable"
)

// chain is what stands around a handler in a stack, the transaction left out.
func chain(t *testing.T, limit time.Duration, cfg circuit.Config, h message.HandlerFunc) (message.HandlerFunc, *circuit.Circuits) {
	t.Helper()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	again, err := retry.New(retry.Config{Initial: time.Millisecond})
	fail(err)
	gate, err := circuit.New(cfg)
	fail(err)
	mark, err := unavailable.New(unavailable.Config{})
	fail(err)
	end, err := timeout.New(timeout.Config{Timeout: limit})
	fail(err)
	catch, err := recovery.New(recovery.Config{})
	fail(err)
	return again(gate.Middleware(mark(end(catch(h))))), gate
}

func deliver(t *testing.T, h message.HandlerFunc, uuid string) (attempts int, err error) {
	t.Helper()
	d := &delivery.Delivery{Handler: "charge"}
	_, err = h(message.NewMessageWithContext(delivery.With(t.Context(), d), uuid, nil))
	return len(d.Attempts()), err
}

func post(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return err
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func TestAnAbsentServerSpendsNoAttemptAndATimeOutOfOursDoes(t *testing.T) {
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	for name, c := range map[string]struct {
		handler  message.HandlerFunc
		attempts int
		spared   bool
	}{
		"connection refused": {func(msg *message.Message) ([]*message.Message, error) {
			return nil, post(msg.Context(), "http://"+closed(t))
		}, 0, true},
		"our deadline, while it waits for an answer": {func(msg *message.Message) ([]*message.Message, error) {
			return nil, post(msg.Context(), silent.URL)
		}, 3, false},
		"our deadline, while it dials": {func(msg *message.Message) ([]*message.Message, error) {
			<-msg.Context().Done() // a host that swallows packets
			_, err := (&net.Dialer{}).DialContext(msg.Context(), "tcp", closed(t))
			return nil, fmt.Errorf("charge: %w", err)
		}, 3, false},
		"our deadline, then taken for an absence": {func(msg *message.Message) ([]*message.Message, error) {
			<-msg.Context().Done()
			return nil, unavailable.Mark(msg.Context().Err())
		}, 3, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := chain(t, 50*time.Millisecond, circuit.Config{}, c.handler)
			n, err := deliver(t, h, "1")
			if err == nil || n != c.attempts || failure.IsUnavailable(err) != c.spared {
				t.Errorf("%d attempts, spared %v: %v", n, failure.IsUnavailable(err), err)
			}
		})
	}
}

func TestAServerThatGoesAndComesBackStopsAndStartsItsHandler(t *testing.T) {
	var calls atomic.Int64
	serve := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	first := httptest.NewServer(serve)
	address := first.Listener.Addr().String()
	h, gate := chain(t, time.Second, circuit.Config{FirstPause: 20 * time.Millisecond, MaxPause: 50 * time.Millisecond, MaxWait: 10 * time.Millisecond},
		func(msg *message.Message) ([]*message.Message, error) {
			calls.Add(1)
			return nil, post(msg.Context(), "http://"+address)
		})
	if _, err := deliver(t, h, "good"); err != nil {
		t.Fatal(err)
	}
	first.Close()
	state := func() circuit.State { return gate.Snapshot()[0].State }
	for i := 0; state() == circuit.Closed; i++ {
		if n, err := deliver(t, h, strconv.Itoa(i)); n != 0 || !failure.IsUnavailable(err) || i > circuit.DefaultKeys {
			t.Fatalf("message %d: %d attempts, %v", i, n, err)
		}
	}
	calls.Store(0)
	ran := 0
	for i := range 30 {
		n, err := deliver(t, h, "waits-"+strconv.Itoa(i))
		if n != 0 || !failure.IsUnavailable(err) {
			t.Fatalf("%d attempts, %v", n, err)
		}
		if !errors.Is(err, circuit.ErrOpen) {
			ran++
		}
	}
	if n := int(calls.Load()); n != ran || n == 0 || n > 15 {
		t.Errorf("%d calls while it was away, %d of them probes", n, ran)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	second := &httptest.Server{Listener: l, Config: &http.Server{Handler: serve, ReadHeaderTimeout: time.Second}}
	second.Start()
	defer second.Close()
	for i := 0; state() != circuit.Closed; i++ {
		if _, err := deliver(t, h, "later-"+strconv.Itoa(i)); err != nil && !errors.Is(err, circuit.ErrOpen) || i > 100 {
			t.Fatal(err)
		}
	}
}
