package broker_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
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
			msg := message.NewMessage(fmt.Sprintf("%d/%d", k, n), []byte(fmt.Sprintf("%d %d", k, n)))
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
	defer consumer.Close()
	found := map[string]place{}
	records := make(chan *sarama.ConsumerMessage)
	for p := range partitions {
		claim, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		defer claim.Close()
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

func TestAStuckMessageHoldsTheOffsetAndAfterItsWindowThePartition(t *testing.T) {
	const n, window = 100, 40
	b := openKafka(t, fmt.Sprintf("commit_interval=50ms&window=%d", window))
	topic, group := makeTopic(t, 1, nil), unique("g")
	publishNumbered(t, b, topic, n, 1)
	first := b.Group(group)
	ch := subscribe(t, first, topic)
	var stuck *message.Message
	for range window {
		if msg := next(t, ch); string(msg.Payload) == "0 0" {
			stuck = msg
		} else {
			msg.Ack()
		}
	}
	if comes(ch, quiet/3) {
		t.Fatal("the partition runs on")
	}
	if stuck == nil {
		t.Fatal("the first message never came")
	}
	if err := first.Close(); err != nil { // commits
		t.Fatal(err)
	}
	ch = subscribe(t, b.Group(group), topic)
	seen := map[string]bool{}
	for len(seen) < n { // all of the window once more, which is the bound
		msg := next(t, ch)
		seen[string(msg.Payload)] = true
		msg.Ack()
	}
}

func TestTrapAnUnansweredMessageHoldsItsPartitionOnTheStockSubscriber(t *testing.T) {
	b := openKafka(t, "")
	topic := makeTopic(t, 1, nil)
	publishKeyed(t, b, topic, "a", "b")
	stock := subscribe(t, stockSubscriber(t, unique("g"), true), topic)
	next(t, stock)
	if comes(stock, quiet/3) {
		t.Error("another key comes on the stock subscriber: the trap is gone")
	}
	ours := subscribe(t, b.Group(unique("g")), topic)
	next(t, ours)
	if msg := next(t, ours); string(msg.Payload) != "b" {
		t.Errorf("ours gives %q", msg.Payload)
	}
}

// TestKafkaChild is a consumer in a process of its own, for the test below: it
// prints what it has handled.
func TestKafkaChild(t *testing.T) {
	topic, group, ok := strings.Cut(os.Getenv("KAFKA_CHILD"), " ")
	if !ok {
		t.Skip("not started by another test")
	}
	b := openKafka(t, "session_timeout=6s&commit_interval=50ms")
	var mu sync.Mutex
	for msg := range subscribe(t, b.Group(group), topic) {
		go func() {
			<-time.After(5 * time.Millisecond)
			mu.Lock()
			fmt.Printf("handled %s\n", msg.Payload)
			mu.Unlock()
			msg.Ack()
		}()
	}
}

func TestWhatAKilledProcessHadUnderWayIsHandledByTheNext(t *testing.T) {
	const keys, each = 500, 20
	b := openKafka(t, "")
	topic, group := makeTopic(t, 4, nil), unique("g")
	publishNumbered(t, b, topic, keys, each)
	l := newLedger()
	start := func(enough func() bool) {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKafkaChild$") //nolint:gosec // ourselves
		child.Env = append(os.Environ(), "KAFKA_CHILD="+topic+" "+group)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(2*patience, func() { _ = child.Process.Kill() })
		defer timer.Stop()
		killed := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			payload, ok := strings.CutPrefix(lines.Text(), "handled ")
			if !ok {
				continue
			}
			l.delivered(payload)
			l.handled[payload] = true
			if !killed && enough() {
				killed = true
				_ = child.Process.Kill() // SIGKILL: it commits nothing and leaves no group
			}
		}
		_ = child.Wait()
	}
	start(func() bool { return len(l.handled) >= keys*each/3 })
	before := len(l.handled)
	start(func() bool { return len(l.handled) == keys*each })
	t.Logf("%d handled before the kill, %d in all, %d deliveries", before, len(l.handled), l.delivers)
	if len(l.handled) != keys*each || before == keys*each {
		t.Errorf("%d of %d messages were handled, %d of them before the kill", len(l.handled), keys*each, before)
	}
	if len(l.inverted) > 0 {
		t.Errorf("came before one of their key: %v", l.inverted)
	}
}
