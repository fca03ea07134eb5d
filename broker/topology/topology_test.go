package topology_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/internal/failure"
)

const two = `
brokers: {main: {url: fake://one}, audit: {url: fake://two, options: {consumer_group: auditors}}}
topics:
  orders: {broker: main, dead_letter: orders.dead}
  written: {broker: audit}
`

func outgoing(topics ...string) []broker.Outgoing {
	out := make([]broker.Outgoing, len(topics))
	for i, topic := range topics {
		out[i] = broker.Outgoing{Topic: topic, Message: message.NewMessage(topic, nil)}
	}
	return out
}

func TestABatchIsSplitByBrokerWithAResultForEachMessage(t *testing.T) {
	fakes := reset(t, "one", "two")
	errRefused := errors.New("refused")
	// Each waits for the other: one after the other they would never return.
	reached := map[string]chan struct{}{"one": make(chan struct{}), "two": make(chan struct{})}
	fakes["one"].publish = func(_ context.Context, msgs []broker.Outgoing) []error {
		close(reached["one"])
		<-reached["two"]
		if len(msgs) != 3 || msgs[0].Topic != "orders" || msgs[1].Topic != "orders.dead" || msgs[2].Topic != "orders" {
			t.Errorf("one got %v", msgs)
		}
		return []error{nil, errRefused, nil}
	}
	fakes["two"].publish = func(_ context.Context, msgs []broker.Outgoing) []error {
		close(reached["two"])
		<-reached["one"]
		if len(msgs) != 1 || msgs[0].Topic != "written" {
			t.Errorf("two got %v", msgs)
		}
		return nil
	}
	got := open(t, two, nil).Publisher().PublishBatch(t.Context(), outgoing("orders", "written", "orders.dead", "nowhere", "orders"))
	if len(got) != 5 || got[0] != nil || got[1] != nil || !errors.Is(got[2], errRefused) || !failure.IsPermanent(got[3]) || got[4] != nil {
		t.Errorf("results are %v", got)
	}
}

func TestABatchThatWasAcknowledgedAsAWholeIsNil(t *testing.T) {
	reset(t)
	if got := open(t, two, nil).Publisher().PublishBatch(t.Context(), outgoing("orders", "written")); got != nil {
		t.Errorf("got %v", got)
	}
	if got := open(t, "brokers: {a: {url: fake://x}}", nil).Publisher().PublishBatch(t.Context(), outgoing("anything")); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestOneBrokerThatIsAwayFailsItsOwnPartAlone(t *testing.T) {
	fakes := reset(t, "one", "two")
	fakes["two"].publish = func(_ context.Context, msgs []broker.Outgoing) []error {
		return []error{failure.Unavailable(errAway)}
	}
	fakes["two"].away = errAway
	top := open(t, two, nil)
	got := top.Publisher().PublishBatch(t.Context(), outgoing("written", "orders"))
	if len(got) != 2 || !failure.IsUnavailable(got[0]) || got[1] != nil {
		t.Errorf("results are %v", got)
	}
	if err := top.Publisher().Check(t.Context()); !failure.IsUnavailable(err) || !strings.Contains(err.Error(), "broker audit") || strings.Contains(err.Error(), "main") {
		t.Errorf("check says %v", err)
	}
	fakes["two"].away = nil
	if err := top.Check(t.Context()); err != nil {
		t.Errorf("check says %v", err)
	}
}

func TestATopicGoesToTheBrokerThatItNamesOrTheDefaultOrTheOnlyOne(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"brokers: {a: {url: fake://x}}":                                                               {"t": "x"},
		"brokers: {a: {url: fake://x}, default: {url: fake://y}}":                                     {"t": "y"},
		"brokers: {a: {url: fake://x}, default: {url: fake://y}}\ntopics: {t: {dead_letter: d}}":      {"t": "y", "d": "y"},
		"brokers: {a: {url: fake://x}, default: {url: fake://y}}\ntopics: {t: {broker: a}}":           {"t": "x", "u": "y"},
		"brokers: {a: {url: fake://x}, b: {url: fake://y}}\ntopics: {t: {broker: b, dead_letter: d}}": {"t": "y", "d": "y", "u": ""},
	} {
		fakes := reset(t, "x", "y")
		top := open(t, text, nil)
		got := ""
		for host, f := range fakes {
			f.publish = func(context.Context, []broker.Outgoing) []error { got = host; return nil }
		}
		for topic, host := range want {
			got = ""
			err := top.Publisher().Publish(topic, message.NewMessage("1", nil))
			if got != host || (err != nil) != (host == "") || err != nil && !failure.IsPermanent(err) {
				t.Errorf("%s: %s went to %q (%v), want %q", text, topic, got, err, host)
			}
		}
	}
}

func TestASubscriberIsOfTheBrokerOfItsTopic(t *testing.T) {
	fakes := reset(t)
	top := open(t, two, nil)
	sub, err := top.Subscriber("written", "")
	if err != nil {
		t.Fatal(err)
	}
	ch, err := sub.Subscribe(t.Context(), "written")
	if err != nil || fakes["two"].topic != "written" || fakes["two"].group != "auditors" {
		t.Errorf("%v: subscribed %+v", err, fakes["two"])
	}
	if sub.Capabilities().Driver != "fake" {
		t.Errorf("capabilities are %+v", sub.Capabilities())
	}
	if _, err := sub.Subscribe(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "it is on broker main") {
		t.Errorf("a topic of another broker: %v", err)
	}
	if err := sub.SubscribeInitialize("orders"); err == nil {
		t.Error("a topic of another broker is made")
	}
	if err := sub.SubscribeInitialize("written"); err != nil {
		t.Error(err)
	}
	if _, err := top.Subscriber("orders", ""); err == nil || !strings.Contains(err.Error(), "no consumer group") {
		t.Errorf("a subscriber without a group: %v", err)
	}
	if _, err := top.Subscriber("nowhere", "g"); err == nil {
		t.Error("a subscriber of a topic without a broker")
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
	if _, open := <-ch; open || fakes["two"].closed != 0 {
		t.Errorf("closing a subscriber left its channel open, or closed the broker %d times", fakes["two"].closed)
	}
}

func TestEachBrokerIsClosedOnceAndThePublisherClosesNone(t *testing.T) {
	fakes := reset(t, "one", "two")
	fakes["one"].closeErr, fakes["two"].closeErr = errors.New("first"), errors.New("second")
	top := open(t, two, nil)
	if err := top.Publisher().Close(); err != nil || fakes["one"].closed != 0 {
		t.Errorf("the publisher closed the broker: %v", err)
	}
	for range 2 {
		if err := top.Close(); err == nil || !strings.Contains(err.Error(), "main: ") || !strings.Contains(err.Error(), "audit: ") {
			t.Errorf("close says %v", err)
		}
	}
	if fakes["one"].closed != 1 || fakes["two"].closed != 1 {
		t.Errorf("closed %d and %d times", fakes["one"].closed, fakes["two"].closed)
	}
}

func TestABrokerThatCannotBeOpenedLeavesNoneOpen(t *testing.T) {
	fakes := reset(t)
	noOpen["two"] = errors.New("refused")
	_, err := topology.Open(t.Context(), parse(t, two, nil), broker.Config{})
	if err == nil || !strings.Contains(err.Error(), "audit: open broker: refused") {
		t.Errorf("got %v", err)
	}
	if fakes["one"] == nil || fakes["one"].closed != 1 {
		t.Errorf("the other is %+v", fakes["one"])
	}
	if _, err := topology.Open(t.Context(), topology.Config{}, broker.Config{}); err == nil {
		t.Error("no broker at all was taken")
	}
}

func TestDescribeTellsWhatEachTopicCanCountOn(t *testing.T) {
	reset(t)
	top := open(t, `
brokers: {main: {url: 'fake://u:`+canary+`@one'}, audit: {url: fake://two}}
topics:
  orders: {broker: main, dead_letter: dead}
  dead: {broker: audit}
`, nil)
	got := top.Describe()
	for _, want := range []string{
		"broker main (fake, fake://u:***@one)\n", "  guarantee: Nothing is kept.\n", "  groups: one group a topic", "  persistence: none", "  delayed messages: not by the broker", "  largest message: 1000 bytes",
		"topic orders: on main, in order by key, a copy may come within 2 days; dead letters to dead on audit\n", "other topics: nowhere",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, canary) {
		t.Errorf("a secret is told:\n%s", got)
	}
	if top.DeadLetter("orders") != "dead" || top.DeadLetter("dead") != "" {
		t.Error("dead letter topics are wrong")
	}
	if c, err := top.Capabilities("orders"); err != nil || c.MaxMessageBytes != 1000 {
		t.Errorf("capabilities are %+v, %v", c, err)
	}
	if _, err := top.Capabilities("nowhere"); err == nil {
		t.Error("capabilities of a topic without a broker")
	}
}
