package forwarder_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/forwardertest"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// probe is a testing.TB that remembers failures instead of reporting them.
type probe struct {
	testing.TB
	mu     sync.Mutex
	failed bool
}

func (p *probe) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = true
}

func (p *probe) Failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

func (p *probe) Error(...any)          { p.fail() }
func (p *probe) Errorf(string, ...any) { p.fail() }
func (p *probe) Fail()                 { p.fail() }
func (p *probe) Fatal(...any)          { p.FailNow() }
func (p *probe) Fatalf(string, ...any) { p.FailNow() }
func (p *probe) FailNow()              { p.fail(); runtime.Goexit() }
func (p *probe) Helper()               {}
func (p *probe) Logf(string, ...any)   {}

// brokenPublisher stands before a good one and breaks one promise.
type brokenPublisher struct {
	message.Publisher
	change func([]batch.Outgoing) (send []batch.Outgoing, reply func([]error) []error)
}

func (b brokenPublisher) PublishBatch(ctx context.Context, msgs []batch.Outgoing) []error {
	send, reply := b.change(msgs)
	var errs []error
	if p, ok := b.Publisher.(batch.Publisher); ok {
		errs = p.PublishBatch(ctx, send)
	} else {
		errs = make([]error, len(send))
		for i, m := range send {
			errs[i] = b.Publish(m.Topic, m.Message)
		}
	}
	return reply(errs)
}

func keep(errs []error) []error { return errs }

func allWell([]error) []error { return nil }

func TestTheSuiteCatchesABrokenRelay(t *testing.T) {
	breaks := []struct {
		name, caughtBy string
		wrap           func(message.Publisher) message.Publisher
		tune           func(*forwarder.RelayConfig)
	}{
		{
			name: "acknowledges what it did not send", caughtBy: "all messages of a single key",
			wrap: func(p message.Publisher) message.Publisher {
				return brokenPublisher{p, func(m []batch.Outgoing) ([]batch.Outgoing, func([]error) []error) {
					return m[:len(m)-1], allWell
				}}
			},
		},
		{
			name: "sends in reverse", caughtBy: "all messages of a single key",
			wrap: func(p message.Publisher) message.Publisher {
				return brokenPublisher{p, func(m []batch.Outgoing) ([]batch.Outgoing, func([]error) []error) {
					back := make([]batch.Outgoing, len(m))
					for i := range m {
						back[len(m)-1-i] = m[i]
					}
					return back, keep
				}}
			},
		},
		{
			name: "takes every error for an acknowledgement", caughtBy: "a broker that is away spends no attempt",
			wrap: func(p message.Publisher) message.Publisher {
				return brokenPublisher{p, func(m []batch.Outgoing) ([]batch.Outgoing, func([]error) []error) { return m, allWell }}
			},
		},
		{
			name: "changes the payload", caughtBy: "every byte arrives",
			wrap: func(p message.Publisher) message.Publisher {
				return brokenPublisher{p, func(m []batch.Outgoing) ([]batch.Outgoing, func([]error) []error) {
					for _, o := range m {
						if o.Message.Payload == nil {
							o.Message.Payload = []byte{}
						}
					}
					return m, keep
				}}
			},
		},
		{
			name: "keeps no history", caughtBy: "a delivered message is kept",
			tune: func(c *forwarder.RelayConfig) { c.NoHistory = true },
		},
		{
			name: "counts attempts early", caughtBy: "a message that always fails",
			tune: func(c *forwarder.RelayConfig) { c.MaxAttempts = 1 },
		},
		{
			name: "parks nothing", caughtBy: "a parked message gets one attempt each time",
			tune: func(c *forwarder.RelayConfig) { c.Park.Off = true },
		},
		{
			name: "parks with the key held", caughtBy: "a message that fails MaxAttempts times is parked",
			tune: func(c *forwarder.RelayConfig) { c.Park.Hold = true },
		},
		{
			name: "parks without holding the key", caughtBy: "with Hold later messages",
			tune: func(c *forwarder.RelayConfig) { c.Park.Hold = false },
		},
		{
			name: "never lets a lease end", caughtBy: "a stale owner settles nothing",
			tune: func(c *forwarder.RelayConfig) { c.ClockOffset = 0; c.Lease, c.PublishTimeout = time.Hour, time.Minute },
		},
	}
	for _, b := range breaks {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			c := find(t, b.caughtBy)
			h := forwardertest.Harness{DB: sqlitetest.Durable(t), Wrap: b.wrap, Tune: b.tune, Patience: 2 * time.Second, Slow: true}
			p := &probe{TB: t}
			done := make(chan struct{})
			go func() { defer close(done); c.Run(p, h) }()
			<-done
			if !p.Failed() {
				t.Errorf("the case %q passed", c.Name)
			}
		})
	}
}

func find(t *testing.T, prefix string) forwardertest.Case {
	t.Helper()
	for _, c := range forwardertest.Cases() {
		if strings.HasPrefix(c.Name, prefix) {
			return c
		}
	}
	t.Fatalf("no case begins with %q", prefix)
	return forwardertest.Case{}
}
