package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// Subscribe joins group in the background and keeps at it until ctx ends. A
// message published in the meantime is not missed: a group begins at the oldest.
func (d *driver) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	if err := checkTopic(topic); err != nil {
		return nil, failure.Permanent(err)
	}
	out := make(chan *message.Message)
	s := &subscription{
		driver: d, topic: topic, group: group, out: out,
		logger: d.logger.With("topic", topic, "group", group),
		unsent: map[position]struct{}{},
	}
	go func() {
		defer close(out)
		s.run(ctx)
	}()
	return out, nil
}

type subscription struct {
	*driver
	topic, group string
	out          chan<- *message.Message
	logger       *slog.Logger

	mu     sync.Mutex
	unsent map[position]struct{} // acked while the connection was down
}

var (
	// errReplaced: another member of the group is served now.
	errReplaced = errors.New("another member of the group is served now")
	// errCutOff: the server has not been heard of for ack_wait.
	errCutOff = errors.New("the server could not be reached for ack_wait, so that others may have the messages")
)

// run serves one claim after the other.
func (s *subscription) run(ctx context.Context) {
	told := ""
	for failures := 1; ; failures++ {
		served, err := s.claim(ctx)
		if ctx.Err() != nil {
			return
		}
		if served {
			failures, told = 1, ""
		}
		s.forget(s.topic) // the stream may have been deleted
		wait := reconnect.Delay(failures)
		switch {
		case errors.Is(err, errReplaced):
			s.logger.Info("nats subscription stands by", "reason", err)
		case errors.Is(err, errAway), err.Error() == told: // said before
		default:
			s.logger.Warn("nats subscription interrupted, will go on", "err", err, "wait", wait)
			told = err.Error()
		}
		_ = backoff.Wait(ctx, wait)
	}
}

// claim delivers until the claim or ctx ends. It reports whether it had one.
func (s *subscription) claim(ctx context.Context) (served bool, err error) {
	js, err := s.consuming.get(ctx)
	if err != nil {
		return false, err
	}
	stream, err := s.ensureStream(ctx, js, s.topic)
	if err != nil {
		return false, err
	}
	consumer, err := s.ensureConsumer(ctx, js, stream, s.topic, s.group)
	if err != nil {
		return false, err
	}
	c := newClaim(ctx, s, js, consumer)
	if err := c.subscribe(); err != nil {
		return false, fmt.Errorf("subscribe: %w", err)
	}
	err = c.serve()
	c.leave()
	return true, err
}
