package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/logtest"
)

// throughProxy opens RabbitMQ through a proxy.
func throughProxy(t *testing.T, params string, config broker.Config) (*broker.Broker, *proxy) {
	t.Helper()
	u, err := url.Parse(amqpURL(t, params))
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host)
	u.Host = p.addr()
	b, err := broker.Open(t.Context(), u.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, p
}

// oneKey makes n messages of one key, the i-th with the UUID i.
func oneKey(topic string, n int) []broker.Outgoing {
	msgs := make([]broker.Outgoing, n)
	for i := range msgs {
		msg := message.NewMessage(fmt.Sprint(i), []byte(strings.Repeat("x", 200)))
		msg.Metadata.Set(header.Key, "k")
		msgs[i] = broker.Outgoing{Topic: topic, Message: msg}
	}
	return msgs
}

// unacknowledged returns what has to be published again. After the first
// failure of a call nothing of its key may have been acknowledged.
func unacknowledged(t *testing.T, batch []broker.Outgoing, results []error) (left []broker.Outgoing) {
	t.Helper()
	if results == nil {
		return nil
	}
	for i, err := range results {
		switch {
		case err == nil && len(left) > 0:
			t.Fatalf("message %s was acknowledged after %s had failed", batch[i].Message.UUID, left[0].Message.UUID)
		case err == nil:
		case !failure.IsUnavailable(err) || failure.IsPermanent(err):
			t.Fatalf("message %s: %v, want unavailable", batch[i].Message.UUID, err)
		default:
			left = append(left, batch[i])
		}
	}
	return left
}

// inOrder takes messages until that with the UUID n-1 has come, and fails if
// the first delivery of one comes before that of the one before it.
func inOrder(t *testing.T, ch <-chan *message.Message, n int) (deliveries int) {
	t.Helper()
	for highest := -1; highest < n-1; deliveries++ {
		msg := next(t, ch)
		var number int
		if _, err := fmt.Sscan(msg.UUID, &number); err != nil {
			t.Fatal(err)
		}
		if number > highest+1 {
			t.Fatalf("%d came before %d", number, highest+1)
		}
		highest = max(highest, number)
		msg.Ack()
	}
	return deliveries
}

func TestAConnectionThatBreaksUnderABatchLosesNothingAndKeepsTheOrderOnRabbitMQ(t *testing.T) {
	const n = 2000
	for _, at := range []int{100, 2_000, 50_000, 300_000} { // bytes: the login, the topology, the batch, its end
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			topic, group := amqpTopic(t)
			b, p := throughProxy(t, "groups="+topic+"/"+group, broker.Config{})
			ch := subscribe(t, openAMQP(t, "").Group(group), topic)
			p.cutNextAfter(at)
			calls := 0
			for left := oneKey(topic, n); len(left) > 0; calls++ {
				left = unacknowledged(t, left, b.PublishBatch(t.Context(), left))
			}
			deliveries := inOrder(t, ch, n)
			t.Logf("%d calls, %d deliveries", calls, deliveries)
			if calls < 2 {
				t.Error("the connection never broke")
			}
		})
	}
}

func TestAnEndedContextEndsABatchAtOnceOnRabbitMQ(t *testing.T) {
	topic, group := amqpTopic(t)
	b, p := throughProxy(t, "groups="+topic+"/"+group, broker.Config{})
	if err := b.Publish(topic, message.NewMessage("connects", nil)); err != nil {
		t.Fatal(err)
	}
	p.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	results := b.PublishBatch(ctx, oneKey(topic, 3000))
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	for i, err := range results {
		if !failure.IsUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if len(results) != 3000 {
		t.Errorf("%d results", len(results))
	}
	p.flow()
	if err := b.Publish(topic, message.NewMessage("after", nil)); err != nil {
		t.Error(err)
	}
}

func TestABrokenConnectionCancelsItsMessagesAndTheyComeAgainInOrderOnRabbitMQ(t *testing.T) {
	topic, group := amqpTopic(t)
	var log logtest.Buffer
	b, p := throughProxy(t, "", broker.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	ch := subscribe(t, b.Group(group), topic)
	direct := openAMQP(t, "")
	if left := unacknowledged(t, nil, direct.PublishBatch(t.Context(), oneKey(topic, 50))); left != nil {
		t.Fatal("not published")
	}
	for i := range 20 {
		msg := next(t, ch)
		if msg.UUID != fmt.Sprint(i) {
			t.Fatalf("%q came, want %d", msg.UUID, i)
		}
		msg.Ack()
	}
	held := next(t, ch)
	p.away(true)
	select {
	case <-held.Context().Done():
	case <-time.After(patience):
		t.Fatal("the context of the message outlives the connection")
	}
	held.Ack() // late: it marks nothing
	for deadline := time.Now().Add(patience); log.Count("interrupted") == 0 && time.Now().Before(deadline); {
		<-time.After(10 * time.Millisecond)
	}
	<-time.After(time.Second) // several attempts fail
	p.away(false)
	first := next(t, ch)
	var number int
	_, _ = fmt.Sscan(first.UUID, &number)
	if number > 20 {
		t.Fatalf("%d came before 20", number)
	}
	for ; ; number++ {
		if first.UUID != fmt.Sprint(number) {
			t.Fatalf("%q came, want %d", first.UUID, number)
		}
		first.Ack()
		if number == 49 {
			break
		}
		first = next(t, ch)
	}
	if warned, back := log.Count("level=WARN"), log.Count("goes on"); warned != 1 || back != 1 {
		t.Errorf("%d warnings and %d lines about its end", warned, back)
	}
}

func TestAMemberThatIsGoneIsFollowedByTheNextInOrderOnRabbitMQ(t *testing.T) {
	for what, params := range map[string]string{"classic": "heartbeat=2s", "quorum": "heartbeat=2s&queue_type=quorum"} {
		for _, frozen := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/frozen=%t", what, frozen), func(t *testing.T) {
				t.Parallel()
				topic, group := amqpTopic(t)
				b, p := throughProxy(t, params, broker.Config{})
				ch := subscribe(t, b.Group(group), topic)
				other := openAMQP(t, params)
				waiting := subscribe(t, other.Group(group), topic)
				if left := unacknowledged(t, nil, other.PublishBatch(t.Context(), oneKey(topic, 100))); left != nil {
					t.Fatal("not published")
				}
				for range 10 {
					next(t, ch).Ack()
				}
				held := next(t, ch)
				if comes(waiting, 200*time.Millisecond) {
					t.Fatal("two members are active")
				}
				start := time.Now()
				if frozen {
					p.stall()
				} else {
					p.away(true)
				}
				msg := next(t, waiting)
				took := time.Since(start)
				t.Logf("the next member went on after %s with %s", took, msg.UUID)
				if limit := 7 * time.Second; took > limit || !frozen && took > time.Second {
					t.Errorf("only after %s", took)
				}
				var number int
				if _, _ = fmt.Sscan(msg.UUID, &number); number > 10 {
					t.Fatalf("%d came before 10", number)
				}
				msg.Ack()
				for number++; number < 100; number++ {
					if msg = next(t, waiting); msg.UUID != fmt.Sprint(number) {
						t.Fatalf("%q came, want %d", msg.UUID, number)
					}
					msg.Ack()
				}
				select {
				case <-held.Context().Done():
				case <-time.After(patience):
					t.Error("the context of the old member's message outlives its claim")
				}
			})
		}
	}
}
