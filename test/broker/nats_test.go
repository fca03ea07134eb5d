package broker_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmjetstream "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	_ "github.com/sluicegate/sluicegate/broker/nats"
	"github.com/sluicegate/sluicegate/internal/header"
)

// natsURL returns the URL of the real NATS, with parameters added, or skips.
func natsURL(t testing.TB, params string) string {
	t.Helper()
	raw := os.Getenv("NATS_URL")
	if raw == "" {
		t.Skip("NATS_URL is not set: scripts/services up, then eval \"$(scripts/services env)\"")
	}
	raw, _, _ = strings.Cut(raw, "?")
	return raw + "?max_age=" + maxAge.String() + "&" + params
}

// maxAge is that of the streams that the tests leave to the server.
const maxAge = 10 * time.Minute

func openNATS(t testing.TB, params string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(t.Context(), natsURL(t, params), broker.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// natsClient returns a plain client.
func natsClient(t testing.TB) jetstream.JetStream {
	t.Helper()
	raw, _, _ := strings.Cut(natsURL(t, ""), "?")
	nc, err := nats.Connect(raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// natsTopic makes a topic with its stream, which goes with the test.
func natsTopic(t testing.TB) string {
	t.Helper()
	js, topic := natsClient(t), unique("topic")
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: topic, Subjects: []string{topic}, AllowAtomicPublish: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = js.DeleteStream(context.Background(), topic) })
	return topic
}

// dropOldStreams deletes what runs of long ago have made.
func dropOldStreams(t testing.TB) {
	js := natsClient(t)
	for info := range js.ListStreams(t.Context()).Info() {
		c := info.Config
		if c.Description == "created by sluicegate" && c.MaxAge == maxAge && time.Since(info.Created) > 2*maxAge {
			_ = js.DeleteStream(t.Context(), c.Name)
		}
	}
}

func TestNATSKeepsItsGuarantees(t *testing.T) {
	dropOldStreams(t)
	for name, params := range map[string]string{
		"a stream each, atomic batches, one served member": "nack_delay_max=200ms",
		"waves, members side by side, acks confirmed":      "nack_delay_max=200ms&order=none&atomic=false&ack=sync",
	} {
		t.Run(name, func(t *testing.T) {
			order := broker.OrderByKey
			if strings.Contains(params, "order=none") {
				order = broker.OrderNone
			}
			raw := natsURL(t, params)
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			brokertest.Run(t, brokertest.Harness{
				URL: func(brokertest.T) string { return raw },
				Declared: broker.Capabilities{
					Driver: "nats", Order: order, Groups: true, KeyConcurrency: true, OldMessages: true,
					Persistent: true, SplitProcesses: true,
					RedeliveryHorizon: maxAge, MaxMessageBytes: 1_000_000,
				},
				Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
					b, err := broker.Open(t.Context(), raw, broker.Config{ConsumerGroup: "any"})
					if err != nil {
						t.Fatalf("open: %v", err)
					}
					defer b.Close()
					if err := b.SubscribeInitialize(topic); err != nil {
						t.Fatalf("make topic: %v", err)
					}
					foreignNATS(t, u, topic, key, value, headers)
				},
				Patience:     20 * time.Second,
				MinNackDelay: 50 * time.Millisecond,
			})
		})
	}
}

// foreignNATS writes a message byte for byte.
func foreignNATS(t brokertest.T, u *url.URL, topic string, key, value []byte, headers []brokertest.Header) {
	if key != nil {
		headers = append(headers, brokertest.Header{Key: []byte(header.Key), Value: key})
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatalf("foreign client: %v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	password, _ := u.User.Password()
	var out bytes.Buffer
	fmt.Fprintf(&out, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true,\"user\":%q,\"pass\":%q}\r\nSUB acks 1\r\n", u.User.Username(), password)
	block := []byte("NATS/1.0\r\n")
	for _, h := range headers {
		block = fmt.Appendf(block, "%s: %s\r\n", h.Key, h.Value)
	}
	block = append(block, "\r\n"...)
	fmt.Fprintf(&out, "HPUB %s acks %d %d\r\n%s%s\r\n", topic, len(block), len(block)+len(value), block, value)
	if _, err := conn.Write(out.Bytes()); err != nil {
		t.Fatalf("foreign message: %v", err)
	}
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "-ERR") || strings.Contains(line, "error") {
			t.Fatalf("foreign message: %v %s", err, line)
		}
		if strings.Contains(line, `"seq":`) {
			return
		}
	}
}

func TestNATSPassesWatermillsOwnSuite(t *testing.T) {
	for _, exactlyOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("ExactlyOnceDelivery=%t", exactlyOnce), func(t *testing.T) {
			brokertest.Watermill(t, natsURL(t, "ack=sync&order=none"), tests.Features{
				ConsumerGroups:      true,
				ExactlyOnceDelivery: exactlyOnce,
				Persistent:          true,
				ForceShort:          true,
			})
		})
	}
}

func TestNATSPassesWatermillsOwnSuiteWithOneMemberServed(t *testing.T) {
	brokertest.Watermill(t, natsURL(t, "concurrency=1"), tests.Features{
		ConsumerGroups:                      true,
		GuaranteedOrder:                     true,
		GuaranteedOrderWithSingleSubscriber: true,
		Persistent:                          true,
		ForceShort:                          true,
	})
}

// stockNATS returns watermill-nats' publishers and subscribers of both kinds.
func stockNATS(t *testing.T) (map[string]message.Publisher, map[string]message.Subscriber) {
	t.Helper()
	raw, _, _ := strings.Cut(natsURL(t, ""), "?")
	log := watermill.NopLogger{}
	core, err := wmnats.NewPublisher(wmnats.PublisherConfig{URL: raw}, log)
	if err != nil {
		t.Fatal(err)
	}
	js, err := wmjetstream.NewPublisher(wmjetstream.PublisherConfig{URL: raw, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	coreSub, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL: raw, JetStream: wmnats.JetStreamConfig{SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit()}},
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	jsSub, err := wmjetstream.NewSubscriber(wmjetstream.SubscriberConfig{URL: raw, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.Close()
		_ = js.Close()
		_ = coreSub.Close()
		_ = jsSub.Close()
	})
	return map[string]message.Publisher{"nats": core, "jetstream": js}, map[string]message.Subscriber{"nats": coreSub, "jetstream": jsSub}
}

func TestPlainWatermillServicesAreOnTheOtherSideOfNATS(t *testing.T) {
	b := openNATS(t, "")
	topic := natsTopic(t)
	publishers, subscribers := stockNATS(t)
	publishers["ours"] = b
	subscribers["ours"] = b.Group(unique("g"))
	for name, p := range publishers {
		for i := range 3 { // an atomic batch, if it is ours
			msg := message.NewMessage(fmt.Sprintf("%s-%d", name, i), []byte("payload"))
			msg.Metadata.Set("a", "1 ü")
			msg.Metadata.Set(header.Key, "k")
			if err := p.Publish(topic, msg); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, s := range subscribers {
		ch := subscribe(t, s, topic)
		seen := map[string]bool{}
		for len(seen) < 9 {
			msg := next(t, ch)
			seen[msg.UUID] = true
			want := message.Metadata{"a": "1 ü", header.Key: "k"}
			if string(msg.Payload) != "payload" || fmt.Sprint(msg.Metadata) != fmt.Sprint(want) {
				t.Errorf("%s reads %q %q %v", name, msg.UUID, msg.Payload, msg.Metadata)
			}
			msg.Ack()
		}
	}
}
