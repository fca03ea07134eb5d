package consume

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
)

// source is a subscriber and how it is closed.
type source struct {
	message.Subscriber
	close func() error
}

func openStock(o Options, t *topic, group string) (source, error) {
	config := wmkafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest // or there is nothing to read
	s, err := wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers: t.brokers, ConsumerGroup: group, OverwriteSaramaConfig: config,
	}, watermill.NopLogger{})
	if err != nil {
		return source{}, fmt.Errorf("open: %w", err)
	}
	return source{s, s.Close}, nil
}

func openOurs(o Options, _ *topic, group string) (source, error) {
	b, err := broker.Open(context.Background(), o.KafkaURL+"?"+o.Params, broker.Config{ConsumerGroup: group})
	if err != nil {
		return source{}, err
	}
	return source{b, b.Close}, nil
}

// count checks and counts what is handled.
type count struct {
	seen      []atomic.Bool
	last      []atomic.Int64 // by key
	handled   atomic.Int64
	inverted  atomic.Int64
	began     chan struct{}
	completed chan struct{}
}

func newCount(o Options) *count {
	return &count{
		seen: make([]atomic.Bool, o.Messages), last: make([]atomic.Int64, o.Keys),
		began: make(chan struct{}), completed: make(chan struct{}),
	}
}

// add notes a message. The messages of a key come in their order, however many
// of other keys are under way.
func (c *count) add(payload []byte) {
	seq, key := place(payload)
	if c.seen[seq].Swap(true) {
		return
	}
	if c.last[key].Swap(int64(seq)) > int64(seq) {
		c.inverted.Add(1)
	}
	switch c.handled.Add(1) {
	case 1:
		close(c.began)
	case int64(len(c.seen)):
		close(c.completed)
	}
}

// trial reads the topic in a new group until all is handled or the limit is
// reached, and returns how many messages a second were, the joining of the
// group not counted.
func (t *topic) trial(ctx context.Context, o Options, s subject, work time.Duration) (figure Figure, err error) {
	in, err := s.open(o, t, unique("group"))
	if err != nil {
		return Figure{}, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return Figure{}, fmt.Errorf("make router: %w", err)
	}
	c := newCount(o)
	router.AddConsumerHandler("bench", t.name, in.Subscriber, func(msg *message.Message) error {
		if work > 0 {
			timer := time.NewTimer(work)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-msg.Context().Done():
				return msg.Context().Err()
			}
		}
		c.add(msg.Payload)
		return nil
	})
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	figure, err = c.measure(ctx, o.Limit)
	stop()
	return figure, errors.Join(err, <-ended)
}

const joinTimeout = 30 * time.Second

func (c *count) measure(ctx context.Context, limit time.Duration) (Figure, error) {
	joined := time.NewTimer(joinTimeout)
	defer joined.Stop()
	select {
	case <-c.began:
	case <-joined.C:
		return Figure{}, errors.New("no message was handled")
	case <-ctx.Done():
		return Figure{}, ctx.Err()
	}
	start, busy := time.Now(), processorTime()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.completed:
	case <-timer.C:
	case <-ctx.Done():
		return Figure{}, ctx.Err()
	}
	n := c.handled.Load()
	figure := Figure{PerSecond: float64(n-1) / time.Since(start).Seconds(), CPU: (processorTime() - busy) / time.Duration(n)}
	if inverted := c.inverted.Load(); inverted > 0 {
		return Figure{}, fmt.Errorf("%d messages came before an earlier one of their key", inverted)
	}
	return figure, nil
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
