package nats_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

const patience = 20 * time.Second

func subscribe(t testing.TB, s message.Subscriber, topic string) <-chan *message.Message {
	t.Helper()
	ch, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func next(t testing.TB, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg, open := <-ch:
		if !open {
			t.Fatal("the subscription ended")
		}
		return msg
	case <-time.After(patience):
		t.Fatal("no message came")
	}
	return nil
}

// nothing checks that no message comes within d.
func nothing(t testing.TB, ch <-chan *message.Message, d time.Duration, why string) {
	t.Helper()
	select {
	case msg, open := <-ch:
		if open {
			t.Fatalf("message %s came: %s", msg.UUID, why)
		}
	case <-time.After(d):
	}
}

func keyed(id, key string) *message.Message {
	msg := message.NewMessage(id, []byte(strings.Repeat("x", 200)))
	if key != "" {
		msg.Metadata.Set(header.Key, key)
	}
	return msg
}

// publishAll publishes n messages of so many keys, and again what was not
// acknowledged, as a relay does. Of a key none may be acknowledged behind one
// that was not.
func publishAll(t testing.TB, b *broker.Broker, topic string, n, keys, size int) {
	for from := 0; from < n; from += size {
		var left []broker.Outgoing
		for i := from; i < min(from+size, n); i++ {
			left = append(left, broker.Outgoing{Topic: topic, Message: keyed(strconv.Itoa(i), strconv.Itoa(i%keys))})
		}
		for tries := 0; len(left) > 0; tries++ {
			if tries > 200 || t.Context().Err() != nil {
				t.Errorf("%d messages are never acknowledged", len(left))
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			results := b.PublishBatch(ctx, left)
			cancel()
			var again []broker.Outgoing
			broken := map[string]bool{}
			for i, err := range results {
				key := left[i].Message.Metadata.Get(header.Key)
				switch {
				case err != nil && failure.IsPermanent(err):
					t.Errorf("message %s: %v", left[i].Message.UUID, err)
				case err != nil:
					broken[key] = true
					again = append(again, left[i])
				case broken[key]:
					t.Errorf("message %s is acknowledged behind one of its key that is not", left[i].Message.UUID)
				}
			}
			left = again
			if len(left) > 0 {
				<-time.After(20 * time.Millisecond)
			}
		}
	}
}

// watch takes n different messages and checks that the first deliveries of
// each key come in order.
func watch(t testing.TB, n, keys int, channels ...<-chan *message.Message) {
	t.Helper()
	in := make(chan *message.Message)
	for _, ch := range channels {
		go func() {
			for msg := range ch {
				select {
				case in <- msg:
				case <-t.Context().Done():
					return
				}
			}
		}()
	}
	highest := map[int]int{}
	for seen := 0; seen < n; {
		select {
		case msg := <-in:
			number, err := strconv.Atoi(msg.UUID)
			if err != nil {
				t.Fatal(err)
			}
			want := number % keys
			if h, begun := highest[number%keys]; begun {
				want = h + keys
			}
			if number > want {
				t.Fatalf("%d came before %d", number, want)
			}
			if number == want {
				highest[number%keys] = number
				seen++
			}
			msg.Ack()
		case <-time.After(patience):
			t.Fatalf("only %d of %d messages came", seen, n)
		}
	}
}

func TestNothingIsLostAndOrderIsKeptWhenTheServerDiesUnderLoad(t *testing.T) {
	for params, keys := range map[string]int{"ack_wait=2s": 50, "ack_wait=2s&atomic=false": 500} {
		t.Run(params, func(t *testing.T) {
			s := startServer(t, "")
			b := s.open(params)
			const n = 20_000
			ch := subscribe(t, b.Group("g"), "orders.placed")
			var publishing sync.WaitGroup
			publishing.Go(func() { publishAll(t, b, "orders.placed", n, keys, 1000) })
			publishing.Go(func() {
				for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
					<-time.After(150 * time.Millisecond)
					s.stop(sig)
					<-time.After(50 * time.Millisecond)
					s.start()
				}
			})
			watch(t, n, keys, ch)
			publishing.Wait()
		})
	}
}

func TestAMemberThatEndsHandsOverInOrder(t *testing.T) {
	s := startServer(t, "")
	b := s.open("ack_wait=2s&prefetch=50")
	const n, keys = 4000, 20
	publishAll(t, b, "t", n, keys, 1000)
	members := [2]message.Subscriber{b.Group("g"), b.Group("g")}
	channels := [2]<-chan *message.Message{subscribe(t, members[0], "t"), subscribe(t, members[1], "t")}
	highest, started := map[int]int{}, time.Now()
	for seen, turn := 0, 0; seen < n; turn++ {
		for range 150 { // then the one that is served ends
			var msg *message.Message
			var from int
			select {
			case msg = <-channels[0]:
			case msg = <-channels[1]:
				from = 1
			case <-time.After(patience):
				t.Fatalf("only %d of %d messages came", seen, n)
			}
			turn = from
			number, _ := strconv.Atoi(msg.UUID)
			if want := highest[number%keys]; number/keys > want {
				t.Fatalf("%d of its key came before %d", number/keys, want)
			} else if number/keys == want {
				highest[number%keys]++
				seen++
			}
			msg.Ack()
			if seen == n {
				break
			}
		}
		if seen < n {
			if err := members[turn].Close(); err != nil {
				t.Fatal(err)
			}
			members[turn] = b.Group("g")
			channels[turn] = subscribe(t, members[turn], "t")
		}
	}
	t.Logf("%d messages and %d hand-overs in %s", n, n/150, time.Since(started))
}

func TestAMemberThatIsCutOffLosesItsClaimAndIsFollowedInOrder(t *testing.T) {
	s := startServer(t, "")
	const params = "ack_wait=1s&prefetch=10"
	b := s.open(params)
	publishAll(t, b, "t", 100, 1, 100)
	addr, cut := proxy(t, s.addr)
	dies := openBroker(t, "nats://"+addr+"?"+params)
	held := next(t, subscribe(t, dies.Group("g"), "t"))
	second := subscribe(t, b.Group("g"), "t")
	nothing(t, second, 2500*time.Millisecond, "though the served member lives and its handler runs")
	began := time.Now()
	cut()
	select {
	case <-held.Context().Done():
	case <-time.After(patience):
		t.Fatal("the member that is cut off goes on")
	}
	t.Logf("lost its claim after %s", time.Since(began))
	if msg := next(t, second); msg.UUID != "0" {
		t.Errorf("followed with %s", msg.UUID)
	} else {
		t.Logf("followed after %s", time.Since(began))
		msg.Nack()
	}
	held.Ack() // too late
	watch(t, 100, 1, second)
}

// proxy is on the way to addr until it is cut.
func proxy(t *testing.T, addr string) (via string, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	conns := []io.Closer{l}
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				_ = in.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, in, out)
			mu.Unlock()
			pipes.Go(func() { _, _ = io.Copy(in, out); _ = in.Close() })
			pipes.Go(func() { _, _ = io.Copy(out, in); _ = out.Close() })
		}
	})
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	}
	t.Cleanup(func() { cut(); pipes.Wait() })
	return l.Addr().String(), cut
}

func TestAHandlerMayTakeLongerThanAckWait(t *testing.T) {
	s := startServer(t, "")
	for _, params := range []string{"ack_wait=500ms", "ack_wait=500ms&order=none"} {
		t.Run(params, func(t *testing.T) {
			b := s.open(params)
			topic := "t" + strconv.Itoa(len(params))
			publishAll(t, b, topic, 3, 1, 3)
			first, second := subscribe(t, b.Group("g"), topic), subscribe(t, b.Group("h"), topic)
			msg := next(t, first)
			nothing(t, first, 2500*time.Millisecond, "though it or one before it of its key is under way")
			msg.Ack()
			next(t, first).Ack()
			next(t, second).Ack()
		})
	}
}

func TestAServerThatIsAwayAtStartIsWaitedForAndSaidOnce(t *testing.T) {
	s := startServer(t, "")
	s.stop(syscall.SIGKILL)
	var log lines
	b, err := broker.Open(t.Context(), s.url("dial_timeout=200ms"), broker.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Check(t.Context()); !failure.IsUnavailable(err) {
		t.Errorf("check: %v", err)
	}
	began := time.Now()
	results := b.PublishBatch(t.Context(), []broker.Outgoing{{Topic: "t", Message: keyed("1", "a")}})
	if len(results) != 1 || !failure.IsUnavailable(results[0]) || time.Since(began) > 3*time.Second {
		t.Errorf("publish: %v after %s", results, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if results := b.PublishBatch(ctx, []broker.Outgoing{{Topic: "t", Message: keyed("1", "a")}}); !errors.Is(results[0], context.Canceled) {
		t.Errorf("publish with an ended context: %v", results)
	}
	ch := subscribe(t, b.Group("g"), "t")
	<-time.After(1500 * time.Millisecond)
	if got := log.count("WARN"); got != 2 { // a line for each of the two connections
		t.Errorf("%d warnings:\n%s", got, log.String())
	}
	s.start()
	publishAll(t, b, "t", 1, 1, 1)
	next(t, ch).Ack()
	if strings.Contains(log.String(), "interrupted") {
		t.Errorf("an interruption is told twice:\n%s", log.String())
	}
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) count(part string) int { return strings.Count(l.String(), part) }

func TestAStreamThatIsDeletedIsMadeAgain(t *testing.T) {
	s := startServer(t, "")
	b := s.open("")
	ch := subscribe(t, b.Group("g"), "t")
	publishAll(t, b, "t", 1, 1, 1)
	next(t, ch).Ack()
	if err := s.plain().DeleteStream(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	publishAll(t, b, "t", 10, 2, 10)
	watch(t, 10, 2, ch)
}

func TestWhatTheStreamRefusesIsRefusedAlone(t *testing.T) {
	s := startServer(t, "max_payload: 100000")
	js := s.plain()
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"t"}, MaxMsgSize: 5000, AllowAtomicPublish: true}); err != nil {
		t.Fatal(err)
	}
	b := s.open("")
	var batch []broker.Outgoing
	for i := range 20 {
		msg := keyed(fmt.Sprint(i), "k")
		topic := "t"
		switch i {
		case 5:
			msg.Payload = make([]byte, 6000)
		case 7:
			msg.Payload, topic = make([]byte, 100_000), "u"
		case 9:
			topic = "no wild*cards"
		}
		batch = append(batch, broker.Outgoing{Topic: topic, Message: msg})
	}
	for i, err := range b.PublishBatch(t.Context(), batch) {
		if bad := i == 5 || i == 7 || i == 9; bad != failure.IsPermanent(err) || !bad && err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	stream, err := js.Stream(t.Context(), "S")
	if err != nil || stream.CachedInfo().State.Msgs != 17 {
		t.Errorf("%v: %d messages stored, want 17", err, stream.CachedInfo().State.Msgs)
	}
}

func TestStreamsAndConsumersThatBreakAPromiseAreRefusedWithWhatToDo(t *testing.T) {
	s := startServer(t, "")
	js := s.plain()
	for i, c := range []struct {
		stream   jetstream.StreamConfig
		consumer *jetstream.ConsumerConfig
		params   string
		want     string
	}{
		{stream: jetstream.StreamConfig{Retention: jetstream.WorkQueuePolicy}, want: "retention limits"},
		{stream: jetstream.StreamConfig{NoAck: true}, want: "no_ack"},
		{stream: jetstream.StreamConfig{Storage: jetstream.MemoryStorage}, want: "storage=memory"},
		{params: "create=false", want: "create is false"},
		{params: "stream=OTHER&create=false", want: "held by stream"},
		{consumer: &jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3}, want: "max_deliver"},
		{consumer: &jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy}, want: "order=none"},
	} {
		topic := fmt.Sprintf("t%d", i)
		c.stream.Name, c.stream.Subjects = topic, []string{topic}
		if c.params != "create=false" {
			if _, err := js.CreateStream(t.Context(), c.stream); err != nil {
				t.Fatal(err)
			}
		}
		if c.consumer != nil {
			c.consumer.Durable, c.consumer.FilterSubject = "g__"+topic, topic
			if _, err := js.CreateConsumer(t.Context(), topic, *c.consumer); err != nil {
				t.Fatal(err)
			}
		}
		b, err := broker.Open(t.Context(), s.url(c.params), broker.Config{ConsumerGroup: "g"})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.SubscribeInitialize(topic); err == nil || !strings.Contains(err.Error(), c.want) || failure.IsUnavailable(err) {
			t.Errorf("%s: %v", c.want, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
