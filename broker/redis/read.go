package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// readShared takes entries that no member has had, waiting for them a while.
func (m *member) readShared(ctx context.Context, wait time.Duration) error {
	r, err := m.ask(ctx, "xreadgroup", "group", m.group, m.name, "count", m.count(),
		"block", wait.Milliseconds()+1, "streams", m.topic, ">")
	if err != nil {
		return err
	}
	_, err = m.addStream(ctx, r)
	return err
}

// adopt takes what was read and never arrived.
func (m *member) adopt(ctx context.Context) error {
	r, err := m.ask(ctx, "xreadgroup", "group", m.group, m.name, "count", m.count(), "streams", m.topic, m.last)
	if err != nil {
		return err
	}
	n, err := m.addStream(ctx, r)
	m.orphans = n > 0 || err != nil
	return err
}

// readInOrder takes new entries, and waits for one where there is none.
func (m *member) readInOrder(ctx context.Context) error {
	r, err := m.readLeased(ctx)
	if err != nil || r == nil {
		return err
	}
	n, err := m.addStream(ctx, r)
	if n > 0 || err != nil {
		m.woken = false
		return err
	}
	if m.after == "" || m.woken { // not known, or moved by hand
		if m.after, err = m.lastDelivered(ctx); err != nil {
			return err
		}
	}
	r, err = m.ask(ctx, "xread", "count", 1, "block", blockFor.Milliseconds(), "streams", m.topic, m.after)
	if err != nil {
		return err
	}
	m.woken = r.array() > 0
	return nil
}

// readLeased reads new entries if this is still the active member, who may
// have been frozen for longer than its lease: the read is carried out only if
// the lease is the same as when it was found to be ours. No reply means that
// it was not carried out.
func (m *member) readLeased(ctx context.Context) (*reply, error) {
	to := &sink{guess: m.guess}
	exec := goredis.NewRawWriteToCmd(ctx, to, "exec")
	lost := false
	err := m.read.do(ctx, func(c *goredis.Client) error {
		conn := c.Conn() // WATCH belongs to the connection
		defer func() { _ = conn.Close() }()
		pipe := conn.Pipeline()
		pipe.Do(ctx, "watch", m.leaseKey)
		holder := pipe.Get(ctx, m.leaseKey)
		if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, goredis.Nil) {
			return err
		}
		if lost = holder.Val() != m.name; lost {
			return nil
		}
		pipe = conn.Pipeline()
		pipe.Do(ctx, "multi")
		read := pipe.Do(ctx, "xreadgroup", "group", m.group, m.name, "count", m.count(), "streams", m.topic, ">")
		_ = pipe.Process(ctx, exec)
		_, _ = pipe.Exec(ctx)
		if err := exec.Err(); err != nil {
			return err
		}
		return read.Err()
	})
	if lost {
		return nil, errLost
	}
	if err != nil {
		return nil, fmt.Errorf("read from the stream: %w", err)
	}
	m.expect(to)
	r := &reply{rest: to.b}
	if r.array() < 1 { // the lease was renewed in between, or is lost: the next call tells
		return nil, r.err
	}
	return r, nil
}

// lastDelivered is the last entry that the group was given.
func (m *member) lastDelivered(ctx context.Context) (string, error) {
	var groups []goredis.XInfoGroup
	err := m.read.do(ctx, func(c *goredis.Client) (err error) {
		groups, err = c.XInfoGroups(ctx, m.topic).Result()
		return err
	})
	for _, g := range groups {
		if g.Name == m.group {
			return g.LastDeliveredID, nil
		}
	}
	if err == nil {
		err = errors.New("the group is gone")
	}
	return "", fmt.Errorf("look at the group: %w", err)
}

// claim takes the entries that nobody has renewed for so long.
func (m *member) claim(ctx context.Context, idle time.Duration) error {
	for cursor := "0-0"; ; {
		r, err := m.ask(ctx, "xautoclaim", m.topic, m.group, m.name, idle.Milliseconds(), cursor, "count", m.count())
		if err != nil {
			return err
		}
		if r.array() < 2 {
			r.err = first(r.err, errProtocol)
		}
		cursor = string(r.text())
		entries, removed := r.entries(m.topic)
		if r.err != nil {
			return fmt.Errorf("claim entries: %w", m.read.judge(ctx, r.err))
		}
		if err := m.add(ctx, entries, removed); err != nil {
			return err
		}
		if cursor == "0-0" {
			return nil
		}
	}
}

// addStream adds entries that come in the order of the stream, and returns
// how many came.
func (m *member) addStream(ctx context.Context, r *reply) (int, error) {
	size := len(r.rest)
	entries, removed := r.stream(m.topic)
	if r.err != nil {
		return 0, fmt.Errorf("read from the stream: %w", m.read.judge(ctx, r.err))
	}
	n := len(entries) + len(removed)
	if n > 0 {
		m.last, m.after = r.last, r.last
		m.size = size / n
	}
	return n, m.add(ctx, entries, removed)
}

// add holds all entries, so that their claims are renewed from now on, and
// then waits for the dispatcher to take each.
func (m *member) add(ctx context.Context, entries []*entry, removed []string) error {
	for _, id := range removed {
		m.logger.Warn("an entry was removed from the stream before it was handled", "id", id)
		if m.held.add(id) {
			m.held.ack(id)
		}
	}
	fresh := entries[:0]
	for _, e := range entries {
		if m.held.add(e.id) { // otherwise it is a claim of our own that was renewed too late
			fresh = append(fresh, e)
		}
	}
	for _, e := range fresh {
		if !m.out.Add(e) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// expect makes the next reply's memory as large as this one.
func (m *member) expect(to *sink) {
	if n := len(to.b); n > 64 {
		m.guess = n + n/8
	}
}

// count is how many entries to ask for: fewer where they are large, since a
// reply is held in one piece.
func (m *member) count() int { return max(1, min(readCount, readBytes/max(m.size, 1))) }

// ask sends a command on the reading line.
func (m *member) ask(ctx context.Context, args ...any) (*reply, error) {
	to := &sink{guess: m.guess}
	cmd := goredis.NewRawWriteToCmd(ctx, to, args...)
	err := m.read.do(ctx, func(c *goredis.Client) error { return c.Process(ctx, cmd) })
	if err != nil {
		return nil, fmt.Errorf("read from the stream: %w", err)
	}
	m.expect(to)
	r := &reply{rest: to.b}
	if bytes.HasPrefix(r.rest, []byte("-")) {
		_ = r.line('-')
		return nil, fmt.Errorf("read from the stream: %w", m.read.judge(ctx, r.err))
	}
	return r, nil
}
