package redis

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

const (
	readCount  = 200             // entries in one reply
	readBytes  = 4 << 20         // about, in one reply
	claimEvery = time.Second     // how often the claims of others are looked at
	blockFor   = 5 * time.Second // how long the server holds a read
	leaveGrace = 3 * time.Second // for the last acks
)

var errLost = errors.New("the claims of this member have passed to another")

// member is one membership of a group, under a name of its own.
type member struct {
	*subscription
	name     string
	leaseKey string
	read     *line // waits at the server
	control  *line // claims and acks
	held     *holdings
	out      *dispatch.Dispatcher[*entry]
	last     string // highest id that was read as new
	orphans  bool   // a reply was lost: entries may be ours that we do not know
	size     int    // of an entry, lately
	guess    int    // of a reply
	after    string // what the last wait was for: an entry after this one
	woken    bool   // and whether it came

	complained bool
}

func newMember(s *subscription) *member {
	return &member{
		subscription: s, name: memberName(), leaseKey: s.lease(), held: newHoldings(), last: "0-0",
		read: s.newLine(blockFor + replyTimeout), control: s.newLine(replyTimeout),
	}
}

// work delivers until ctx ends or the claims, valid from since on, are lost.
func (m *member) work(parent context.Context, since time.Time) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	m.out = dispatch.New(ctx, m.subscription.out, dispatch.Handlers[*entry]{
		Key:     func(e *entry) string { return e.key },
		Message: func(e *entry) *message.Message { return e.attempt(ctx) },
		Acked: func(e *entry) {
			e.end()
			m.held.ack(e.id)
		},
	}, dispatch.Config{Concurrency: m.concurrency, Queue: m.prefetch, Backoff: m.backoff})

	done := make(chan struct{})
	go func() {
		defer close(done)
		m.keep(ctx, cancel, since)
	}()
	if err := m.feed(ctx); err != nil {
		cancel(err)
	}
	m.out.Close()
	<-done
	m.leave()
	return context.Cause(ctx)
}

// feed gives the dispatcher what belongs to this member.
func (m *member) feed(ctx context.Context) error {
	if m.ordered {
		// With the lease, whatever is pending is of members that are no more.
		if err := m.retrying(ctx, func() error { return m.claim(ctx, 0) }); err != nil {
			return err
		}
	}
	var claimed time.Time
	for ctx.Err() == nil {
		err := m.retrying(ctx, func() error {
			if !m.ordered && time.Since(claimed) >= claimEvery {
				if err := m.claim(ctx, m.claimIdle); err != nil {
					return err
				}
				claimed = time.Now()
			}
			if m.orphans {
				return m.adopt(ctx)
			}
			if m.ordered {
				return m.readInOrder(ctx)
			}
			return m.readShared(ctx, max(claimEvery-time.Since(claimed), time.Millisecond))
		})
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// retrying calls f until it succeeds, waiting while the server is away. Other
// errors, and the end of ctx, are returned.
func (m *member) retrying(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || !failure.IsUnavailable(err) {
			if err == nil {
				m.resume()
			}
			return err
		}
		m.orphans = true
		m.warn(err)
		if err := backoff.Wait(ctx, reconnect.Delay(failures)); err != nil {
			return err
		}
	}
}
