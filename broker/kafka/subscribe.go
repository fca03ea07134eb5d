package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker/internal/redelivery"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/failure"
)

// leaveGrace is how long a subscription that ends may take to commit its
// offsets and to leave its group, before its connections are cut.
const leaveGrace = 3 * time.Second

// channelBuffer is how many messages under way may be on the way to their
// reader: with as many as that the partitions do not wait for each other. What
// is in there when its partition is taken back has a context that has ended.
const channelBuffer = 1024

// reconnect is the wait between attempts to reach a broker that is away.
var reconnect = redelivery.Backoff{First: 250 * time.Millisecond, Max: 5 * time.Second}

// Subscribe joins group in the background and keeps at it until ctx ends. A
// record published in the meantime is not missed: a group begins at the oldest.
func (d *driver) Subscribe(ctx context.Context, topic, group string) (<-chan *message.Message, error) {
	if err := checkTopic(topic); err != nil {
		return nil, failure.Permanent(err)
	}
	out := make(chan *message.Message, channelBuffer)
	s := &subscription{
		driver: d, topic: topic, group: group, out: out,
		logger: d.logger.With("topic", topic, "group", group),
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
}

func (s *subscription) run(ctx context.Context) {
	for failures := 1; ; failures++ {
		joined, err := s.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if joined {
			failures = 1
		}
		s.forgetTopic(s.topic) // it may have been deleted
		wait := reconnect.Delay(failures)
		s.logger.Warn("kafka subscription interrupted, will go on", "err", err, "wait", wait)
		_ = backoff.Wait(ctx, wait)
	}
}

// connect consumes with one client until it fails or ctx ends. It reports
// whether it had become a member of the group.
func (s *subscription) connect(ctx context.Context) (joined bool, err error) {
	if err := s.ensureTopic(ctx, s.topic); err != nil {
		return false, err
	}
	config, f := s.fenced()
	defer f.cut()
	var background sync.WaitGroup
	defer background.Wait()
	left, leave := context.WithCancel(context.Background())
	defer leave()
	background.Go(func() {
		select {
		case <-left.Done():
		case <-ctx.Done():
			_ = backoff.Wait(left, leaveGrace)
			f.cut()
		}
	})

	group, err := sarama.NewConsumerGroup(s.addrs, s.group, config)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	background.Go(func() {
		for err := range group.Errors() {
			s.logger.Debug("kafka client", "err", err)
		}
	})
	defer func() { _ = group.Close() }()
	h := &handler{subscription: s}
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{s.topic}, h); err != nil {
			return h.joined, fmt.Errorf("consume: %w", err)
		}
	}
	return h.joined, nil
}
