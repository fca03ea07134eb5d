package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/broker/internal/dispatch"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

const (
	readCount  = 200             // entries in one reply
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
		Message: (*entry).message,
		Acked:   func(e *entry) { m.held.ack(e.id) },
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

// readShared takes entries that no member has had, waiting for them a while.
func (m *member) readShared(ctx context.Context, wait time.Duration) error {
	reply, err := m.ask(ctx, "xreadgroup", "group", m.group, m.name, "count", readCount,
		"block", wait.Milliseconds()+1, "streams", m.topic, ">")
	if err != nil {
		return err
	}
	return m.addNew(ctx, streamEntries(reply))
}

// adopt takes what was read and never arrived.
func (m *member) adopt(ctx context.Context) error {
	reply, err := m.ask(ctx, "xreadgroup", "group", m.group, m.name, "count", readCount, "streams", m.topic, m.last)
	if err != nil {
		return err
	}
	entries := streamEntries(reply)
	m.orphans = len(entries) > 0
	return m.addNew(ctx, entries)
}

// readInOrder takes new entries if this is still the active member, and waits
// for one where there is none.
func (m *member) readInOrder(ctx context.Context) error {
	reply, err := m.ask(ctx, "eval", readScript, 2, m.topic, m.leaseKey, m.group, m.name, readCount)
	if err != nil {
		return err
	}
	if last, none := reply.(string); none {
		_, err := m.ask(ctx, "xread", "count", 1, "block", blockFor.Milliseconds(), "streams", m.topic, last)
		return err
	}
	entries, _ := reply.([]any)
	return m.addNew(ctx, entries)
}

// claim takes the entries that nobody has renewed for so long.
func (m *member) claim(ctx context.Context, idle time.Duration) error {
	for cursor := "0-0"; ; {
		reply, err := m.ask(ctx, "xautoclaim", m.topic, m.group, m.name, idle.Milliseconds(), cursor, "count", readCount)
		if err != nil {
			return err
		}
		parts, _ := reply.([]any)
		if len(parts) < 2 {
			return errors.New("redis has answered XAUTOCLAIM with something else")
		}
		entries, _ := parts[1].([]any)
		if err := m.add(ctx, entries); err != nil {
			return err
		}
		if cursor = str(parts[0]); cursor == "0-0" || cursor == "" {
			return nil
		}
	}
}

// addNew adds entries that come in the order of the stream.
func (m *member) addNew(ctx context.Context, entries []any) error {
	if n := len(entries); n > 0 {
		if parts, _ := entries[n-1].([]any); len(parts) > 0 {
			m.last = str(parts[0])
		}
	}
	return m.add(ctx, entries)
}

// add holds all entries, so that their claims are renewed from now on, and
// then waits for the dispatcher to take each.
func (m *member) add(ctx context.Context, raw []any) error {
	entries := make([]*entry, 0, len(raw))
	for _, r := range raw {
		parts, _ := r.([]any)
		if len(parts) < 2 {
			continue // deleted; older servers answer with nothing
		}
		id := str(parts[0])
		if !m.held.add(id) {
			continue // a claim of our own that was renewed too late
		}
		fields, _ := parts[1].([]any)
		if fields == nil {
			m.logger.Warn("an entry was removed from the stream before it was handled", "id", id)
			m.held.ack(id)
			continue
		}
		entries = append(entries, newEntry(m.topic, id, fields))
	}
	for _, e := range entries {
		if !m.out.Add(e) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// ask sends a command on the reading line. Its reply is nil where there is none.
func (m *member) ask(ctx context.Context, args ...any) (any, error) {
	var reply any
	err := m.read.do(ctx, func(c *goredis.Client) (err error) {
		reply, err = c.Do(ctx, args...).Result()
		return err
	})
	switch {
	case errors.Is(err, goredis.Nil):
		return nil, nil
	case err == nil:
		return reply, nil
	case strings.Contains(err.Error(), "LEASELOST"):
		return nil, errLost
	}
	return nil, fmt.Errorf("read from the stream: %w", err)
}

// streamEntries are the entries in a reply about one stream.
func streamEntries(reply any) []any {
	streams, _ := reply.([]any)
	if len(streams) == 0 {
		return nil
	}
	parts, _ := streams[0].([]any)
	if len(parts) < 2 {
		return nil
	}
	entries, _ := parts[1].([]any)
	return entries
}
