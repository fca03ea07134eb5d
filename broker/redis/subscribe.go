package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

// reconnect is the wait between attempts to reach a server that is away.
var reconnect = redelivery.Backoff{First: 250 * time.Millisecond, Max: 5 * time.Second}

// Subscribe joins group in the background and keeps at it until ctx ends. An
// entry added in the meantime is not missed: a group begins at the oldest.
func (d *driver) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	s := &subscription{
		driver: d, topic: topic, group: group, out: make(chan *message.Message),
		logger: d.logger.With("topic", topic, "group", group),
	}
	go func() {
		defer close(s.out)
		s.run(ctx)
	}()
	return s.out, nil
}

// Initialize makes the stream and the group exist.
func (d *driver) Initialize(ctx context.Context, topic, group string) error {
	l := d.newLine(replyTimeout)
	defer l.close()
	return d.ensureGroup(ctx, l, topic, group)
}

// ensureGroup makes a group that begins at the oldest entry.
func (d *driver) ensureGroup(ctx context.Context, l *line, topic, group string) error {
	err := l.do(ctx, func(c *goredis.Client) error {
		return c.XGroupCreateMkStream(ctx, topic, group, "0").Err()
	})
	if err != nil && !strings.Contains(err.Error(), "BUSYGROUP") {
		return fmt.Errorf("create group: %w", err)
	}
	d.inspectOnce()
	return nil
}

// subscription goes from one membership of its group to the next.
type subscription struct {
	*driver
	topic, group string
	out          chan *message.Message
	logger       *slog.Logger
	interrupted  bool // and said so
}

func (s *subscription) run(ctx context.Context) {
	for failures := 1; ; failures++ {
		joined, err := s.join(ctx)
		if ctx.Err() != nil {
			return
		}
		if joined {
			failures = 1
		}
		s.warn(err)
		_ = backoff.Wait(ctx, reconnect.Delay(failures))
	}
}

// warn tells of an interruption once, and resume of its end.
func (s *subscription) warn(err error) {
	if s.interrupted {
		s.logger.Debug("redis subscription is still interrupted", "err", err)
		return
	}
	s.interrupted = true
	s.logger.Warn("redis subscription interrupted, will go on", "err", err)
}

func (s *subscription) resume() {
	if s.interrupted {
		s.interrupted = false
		s.logger.Info("redis subscription goes on")
	}
}

// lease is the key that names the active member of the group. The length keeps
// the group "b" of the topic "a:b" apart from that of "b:b" of "a".
func (s *subscription) lease() string {
	return "sluicegate:lease:" + strconv.Itoa(len(s.topic)) + ":" + s.topic + ":" + s.group
}

// join is a member of the group until it fails, its claims are lost or ctx
// ends. It reports whether it had become an active one.
func (s *subscription) join(ctx context.Context) (joined bool, err error) {
	m := newMember(s)
	defer m.read.close()
	defer m.control.close()
	if err := s.ensureGroup(ctx, m.control, s.topic, s.group); err != nil {
		return false, err
	}
	since := time.Now()
	if s.ordered {
		if since, err = m.standBy(ctx); err != nil {
			return false, err
		}
	}
	if err := m.beat(ctx); err != nil { // a missing permission shows before anything is delivered
		m.leave()
		return false, err
	}
	s.resume()
	return true, m.work(ctx, since)
}

// standBy waits until this is the active member. It returns when it asked for
// the lease that it got.
func (m *member) standBy(ctx context.Context) (time.Time, error) {
	pause := min(max(m.claimIdle/20, 50*time.Millisecond), time.Second)
	for {
		since := time.Now()
		got := false
		err := m.control.do(ctx, func(c *goredis.Client) (err error) {
			got, err = c.SetNX(ctx, m.leaseKey, m.name, m.claimIdle).Result()
			return err
		})
		if err != nil {
			return since, fmt.Errorf("ask for the group's lease: %w", err)
		}
		if got {
			return since, nil
		}
		m.resume()
		if err := backoff.Wait(ctx, backoff.Half(pause)); err != nil {
			return since, err
		}
	}
}

func memberName() string { return "sluicegate-" + strings.ToLower(rand.Text()[:16]) }
