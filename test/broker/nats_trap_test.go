package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/internal/header"
)

func stockJetStream(t *testing.T, config wmjetstream.SubscriberConfig) message.Subscriber {
	t.Helper()
	if raceDetector {
		t.Skip("the stock subscriber closes a channel that it sends on: make integration runs this without the race detector")
	}
	t.Helper()
	config.URL, _, _ = strings.Cut(natsURL(t, ""), "?")
	config.Logger = watermill.NopLogger{}
	s, err := wmjetstream.NewSubscriber(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestTrapANackComesBackAtOnceOnTheStockNATSSubscriber(t *testing.T) {
	b, topic := openNATS(t, "nack_delay=400ms"), natsTopic(t)
	publishKeyed(t, b, topic, "a")
	waited := func(s message.Subscriber) time.Duration {
		ch := subscribe(t, s, topic)
		next(t, ch).Nack()
		began := time.Now()
		next(t, ch).Ack()
		return time.Since(began)
	}
	if d := waited(stockJetStream(t, wmjetstream.SubscriberConfig{})); d > 150*time.Millisecond {
		t.Errorf("stock: after %s: the trap is gone", d)
	}
	if d := waited(b.Group(unique("g"))); d < 200*time.Millisecond {
		t.Errorf("ours: after %s, want at least half of nack_delay", d)
	}
}

func TestTrapALongHandlerHasItsMessageDeliveredTwiceOnTheStockNATSSubscriber(t *testing.T) {
	b, topic := openNATS(t, "ack_wait=1s"), natsTopic(t)
	publishKeyed(t, b, topic, "a")
	twice := func(s message.Subscriber) bool {
		ch := subscribe(t, s, topic)
		msg := next(t, ch)
		defer msg.Ack()
		return comes(ch, 3500*time.Millisecond)
	}
	stock := stockJetStream(t, wmjetstream.SubscriberConfig{
		AckWaitTimeout: time.Second,
		// Its own initializers leave the server's 30 s, which is too long for a test.
		ResourceInitializer: func(ctx context.Context, js jetstream.JetStream, topic string) (jetstream.Consumer, func(context.Context, watermill.LoggerAdapter), error) {
			c, err := js.CreateConsumer(ctx, topic, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Second})
			return c, nil, err
		},
	})
	if !twice(stock) {
		t.Error("stock: it came once: the trap is gone")
	}
	if twice(b.Group(unique("g"))) {
		t.Error("ours: it came a second time while its handler ran")
	}
}

func TestTrapAMessageThatFailsOftenIsDroppedByTheStockNATSDelay(t *testing.T) {
	b, topic := openNATS(t, "nack_delay=10ms&nack_delay_max=10ms"), natsTopic(t)
	publishKeyed(t, b, topic, "a")
	deliveries := func(s message.Subscriber, most int) int {
		ch := subscribe(t, s, topic)
		for n := range most {
			select {
			case msg := <-ch:
				msg.Nack()
			case <-time.After(time.Second):
				return n
			}
		}
		return most
	}
	if n := deliveries(stockJetStream(t, wmjetstream.SubscriberConfig{NakDelay: wmjetstream.NewMaxRetryDelay(10*time.Millisecond, 3)}), 10); n != 3 {
		t.Errorf("stock: %d deliveries, want 3 and then none: the trap is gone", n)
	}
	if n := deliveries(b.Group(unique("g")), 10); n != 10 {
		t.Errorf("ours: %d deliveries, and then it was gone", n)
	}
}

func TestTrapMetadataGetsLostOrObeyedOnTheStockNATSPublisher(t *testing.T) {
	b, topic := openNATS(t, ""), natsTopic(t)
	publishers, _ := stockNATS(t)
	group := b.Group(unique("g"))
	ch := subscribe(t, group, topic)
	for _, name := range []string{"stock", "ours"} {
		p := publishers["jetstream"]
		if name == "ours" {
			p = b
		}
		for i := range 2 {
			msg := message.NewMessage(fmt.Sprintf("%s-%d", name, i), []byte("x"))
			msg.Metadata.Set("with space", "1")
			msg.Metadata.Set("lines", "a\nb")
			// As a message has that was consumed from NATS elsewhere.
			msg.Metadata.Set("Nats-Msg-Id", name)
			if err := p.Publish(topic, msg); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := next(t, ch)
	first.Ack()
	if first.UUID != "stock-0" || first.Metadata.Get("with space") != "" || first.Metadata.Get("lines") == "a\nb" {
		t.Errorf("stock: %s with %q: the trap is gone", first.UUID, first.Metadata)
	}
	for i := range 2 { // the second of the stock publisher was dropped as a duplicate
		msg := next(t, ch)
		msg.Ack()
		if msg.UUID != fmt.Sprintf("ours-%d", i) || msg.Metadata.Get("with space") != "1" || msg.Metadata.Get("lines") != "a\nb" || msg.Metadata.Get("Nats-Msg-Id") != "ours" {
			t.Errorf("ours: %s with %q", msg.UUID, msg.Metadata)
		}
	}
}

func TestTrapTheStockNATSPublisherSendsOneByOne(t *testing.T) {
	const n = 4000
	b, topic := openNATS(t, ""), natsTopic(t)
	publishers, _ := stockNATS(t)
	took := map[string]time.Duration{}
	for name, p := range map[string]message.Publisher{"stock": publishers["jetstream"], "ours": b} {
		msgs := make([]*message.Message, n)
		for i := range msgs {
			msgs[i] = message.NewMessage(watermill.NewShortUUID(), make([]byte, 256))
			msgs[i].Metadata.Set(header.Key, fmt.Sprint(i%100))
		}
		if err := p.Publish(topic, msgs[0]); err != nil { // connects
			t.Fatal(err)
		}
		began := time.Now()
		if err := p.Publish(topic, msgs...); err != nil {
			t.Fatal(err)
		}
		took[name] = time.Since(began)
	}
	ratio := float64(took["stock"]) / float64(took["ours"])
	t.Logf("%d messages of 256 bytes: stock %s, ours %s, ratio %.1f", n, took["stock"], took["ours"], ratio)
	if ratio < 3 {
		t.Errorf("only %.1f times as fast as one by one", ratio)
	}
}
