package broker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/header"
)

// publishNumbered publishes so many messages of each key, close together; the
// payload is the key and the place in its order.
func publishNumbered(t *testing.T, b *broker.Broker, topic string, keys, each int) {
	t.Helper()
	var msgs []*message.Message
	for k := range keys {
		for n := range each {
			msg := message.NewMessage(fmt.Sprintf("%d/%d", k, n), fmt.Appendf(nil, "%d %d", k, n))
			msg.Metadata.Set(header.Key, fmt.Sprint(k))
			msgs = append(msgs, msg)
		}
	}
	if err := b.Publish(topic, msgs...); err != nil {
		t.Fatal(err)
	}
}

// place is where a record lies.
type place struct {
	partition int32
	offset    int64
}

// places reads where each payload lies in the topic.
func places(t *testing.T, topic string, partitions int32, n int) map[string]place {
	t.Helper()
	consumer, err := sarama.NewConsumer(brokers(t), sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = consumer.Close() })
	found := map[string]place{}
	records := make(chan *sarama.ConsumerMessage)
	for p := range partitions {
		claim, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = claim.Close() })
		go func() {
			for r := range claim.Messages() {
				select {
				case records <- r:
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	for deadline := time.After(patience); len(found) < n; {
		select {
		case r := <-records:
			found[string(r.Value)] = place{r.Partition, r.Offset}
		case <-deadline:
			t.Fatalf("only %d records are in the topic", len(found))
		}
	}
	return found
}

// ledger is what the members of a group have done.
type ledger struct {
	mu       sync.Mutex
	next     map[int]int     // by key: the place that was not delivered yet
	handled  map[string]bool // acked while the message was theirs
	finished map[place]bool
	inverted []string
	underWay map[int]*message.Message // by key
	together []string                 // beside another of its key
	delivers int
	grown    chan struct{}
}

func newLedger() *ledger {
	return &ledger{
		next: map[int]int{}, handled: map[string]bool{}, finished: map[place]bool{},
		underWay: map[int]*message.Message{}, grown: make(chan struct{}, 1),
	}
}

func (l *ledger) delivered(payload string) {
	var key, n int
	_, _ = fmt.Sscan(payload, &key, &n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delivers++
	if n > l.next[key] {
		l.inverted = append(l.inverted, payload)
	}
	l.next[key] = max(l.next[key], n+1)
}

// began notes a message that one member has got.
func (l *ledger) began(msg *message.Message) {
	l.delivered(string(msg.Payload))
	l.mu.Lock()
	defer l.mu.Unlock()
	key := keyOf(msg)
	if other := l.underWay[key]; other != nil && other.Context().Err() == nil {
		l.together = append(l.together, string(msg.Payload))
	}
	l.underWay[key] = msg
}

func keyOf(msg *message.Message) (key int) {
	_, _ = fmt.Sscan(string(msg.Payload), &key)
	return key
}

func (l *ledger) done(msg *message.Message, at place) {
	l.mu.Lock()
	l.handled[string(msg.Payload)], l.finished[at] = true, true
	delete(l.underWay, keyOf(msg))
	l.mu.Unlock()
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

// wait waits until so many messages were handled.
func (l *ledger) wait(t *testing.T, n int) {
	t.Helper()
	for deadline := time.After(2 * patience); ; {
		l.mu.Lock()
		have := len(l.handled)
		l.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-l.grown:
		case <-deadline:
			t.Fatalf("only %d of %d messages were handled", have, n)
		}
	}
}

// work is a member that handles each message in a goroutine of its own, as a
// router does, for a few milliseconds.
func (l *ledger) work(ch <-chan *message.Message, where map[string]place) {
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for msg := range ch {
		l.began(msg)
		handlers.Go(func() {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-msg.Context().Done():
			}
			if msg.Context().Err() == nil {
				l.done(msg, where[string(msg.Payload)])
			} else { // taken back: an Ack long after that must mark nothing
				<-time.After(time.Second)
			}
			msg.Ack()
		})
	}
}

// watch fails where the group's offset is beyond an unhandled message.
func (l *ledger) watch(ctx context.Context, t *testing.T, topic, group string) (commits int) {
	admin, err := sarama.NewClusterAdmin(brokers(t), sarama.NewConfig())
	if err != nil {
		t.Error(err)
		return 0
	}
	defer admin.Close()
	seen := map[place]bool{}
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0, 1, 2, 3}})
		if err != nil {
			t.Error(err)
			return 0
		}
		l.mu.Lock()
		for p, block := range offsets.Blocks[topic] {
			if block.Offset >= 0 {
				seen[place{p, block.Offset}] = true
			}
			for o := range block.Offset {
				if !l.finished[place{p, o}] {
					t.Errorf("offset %d of partition %d is committed and %d was not handled", block.Offset, p, o)
				}
			}
		}
		l.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return len(seen)
		}
	}
}

func TestMembersComeAndGoUnderLoadAndNothingIsLostNorOvertakenNorMarkedTooEarly(t *testing.T) {
	const keys, each, partitions = 400, 25, 4
	b := openKafka(t, "commit_interval=50ms&concurrency=16&prefetch=200")
	topic, group := makeTopic(t, partitions, nil), unique("g")
	publishNumbered(t, b, topic, keys, each)
	where := places(t, topic, partitions, keys*each)

	l := newLedger()
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan int, 1)
	go func() { watched <- l.watch(ctx, t, topic, group) }()
	var members []message.Subscriber
	var working sync.WaitGroup
	join := func() {
		m := b.Group(group)
		members = append(members, m)
		ch := subscribe(t, m, topic)
		working.Go(func() { l.work(ch, where) })
	}
	leave := func(i int) {
		if err := members[i].Close(); err != nil {
			t.Error(err)
		}
	}
	join()
	l.wait(t, keys*each/10)
	join()
	l.wait(t, keys*each/2)
	leave(0)
	l.wait(t, keys*each*7/10)
	join()
	l.wait(t, keys*each)
	cancel()
	commits := <-watched
	leave(1)
	leave(2)
	working.Wait()
	t.Logf("%d messages, %d deliveries, %d different offsets seen", keys*each, l.delivers, commits)
	if len(l.inverted) > 0 || len(l.together) > 0 {
		t.Errorf("came before one of their key: %v; beside one: %v", l.inverted, l.together)
	}
	if commits < 2*partitions {
		t.Errorf("only %d different offsets were seen", commits)
	}
}
