package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

type memory = routertest.Publisher

func letter() deadletter.Letter {
	msg := message.NewMessage("1", []byte("payload"))
	msg.Metadata.Set("customer", "42")
	return deadletter.Letter{
		Consumer: "shop", Handler: "stock", Topic: "orders", Subscriber: "kafka.Subscriber", Key: "order-1", Message: msg,
		Reason: "boom", At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		Attempts: []deadletter.Attempt{{Number: 1, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Duration: time.Second, Err: "first"}, {Number: 2, Err: "boom"}},
	}
}

func TestATopicsLetterIsTheOriginalWithTheReasonBesideIt(t *testing.T) {
	pub := &memory{}
	store, err := deadletter.Topic(pub, deadletter.TopicConfig{Name: "dead"})
	if err != nil {
		t.Fatal(err)
	}
	l := letter()
	if err := store.Put(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if len(l.Message.Metadata) != 1 {
		t.Error("the letter itself must not change")
	}
	got := pub.All()[0]
	if got.Topic != "dead" || got.UUID != "1" || string(got.Payload) != "payload" {
		t.Errorf("%s %s %s", got.Topic, got.UUID, got.Payload)
	}
	for k, want := range map[string]string{
		"customer": "42", deadletter.MetadataReason: "boom", deadletter.MetadataTopic: "orders", deadletter.MetadataHandler: "stock",
		deadletter.MetadataSubscriber: "kafka.Subscriber", deadletter.MetadataConsumer: "shop", deadletter.MetadataKey: "order-1",
		deadletter.MetadataAt: "2026-01-02T03:04:05.000006Z",
	} {
		if got.Metadata.Get(k) != want {
			t.Errorf("%s = %q, want %q", k, got.Metadata.Get(k), want)
		}
	}
	var attempts []deadletter.Attempt
	if err := json.Unmarshal([]byte(got.Metadata.Get(deadletter.MetadataAttempts)), &attempts); err != nil || len(attempts) != 2 || attempts[0] != l.Attempts[0] {
		t.Errorf("%v, %+v", err, attempts)
	}
}

func TestOnlyTheLastAttemptsGoIntoTheMetadata(t *testing.T) {
	pub := &memory{}
	store, _ := deadletter.Topic(pub, deadletter.TopicConfig{Name: "dead"})
	l := letter()
	l.Attempts = nil
	for n := range 50 {
		l.Attempts = append(l.Attempts, deadletter.Attempt{Number: n + 1, Err: strings.Repeat("x", 512)})
	}
	l.Message.Metadata = nil
	if err := store.Put(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	var attempts []deadletter.Attempt
	_ = json.Unmarshal([]byte(pub.All()[0].Metadata.Get(deadletter.MetadataAttempts)), &attempts)
	if len(attempts) != 10 || attempts[9].Number != 50 {
		t.Fatalf("%d attempts", len(attempts))
	}
}

func TestTheSourceTopicIsRefusedAsItsOwnDeadLetterTopic(t *testing.T) {
	pub := &memory{}
	for name, cfg := range map[string]deadletter.TopicConfig{
		"fixed": {Name: "orders"},
		"named": {For: func(string) string { return "orders" }},
	} {
		store, err := deadletter.Topic(pub, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.TopicFor("orders"); !errors.Is(err, deadletter.ErrSameTopic) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := wrap(t, store, deadletter.Config{}, failing(errBoom))(message.NewMessage("1", nil)); err != nil {
			t.Errorf("%s: another topic must do: %v", name, err)
		}
		if err := store.Put(t.Context(), letter()); !errors.Is(err, deadletter.ErrSameTopic) {
			t.Errorf("%s: %v", name, err)
		}
	}
	none, _ := deadletter.Topic(pub, deadletter.TopicConfig{For: func(string) string { return "" }})
	if err := none.Put(t.Context(), letter()); err == nil {
		t.Error("no topic must be an error")
	}
}

func TestAnErrorOfThePublisherIsReturned(t *testing.T) {
	pub := &memory{}
	pub.Fail(errBoom)
	store, _ := deadletter.Topic(pub, deadletter.TopicConfig{Name: "dead"})
	if err := store.Put(t.Context(), letter()); !errors.Is(err, errBoom) {
		t.Fatal(err)
	}
}

type batcher struct {
	memory
	errs []error
	ctx  context.Context // what PublishBatch got
}

func (b *batcher) PublishBatch(ctx context.Context, _ []batch.Outgoing) []error {
	b.ctx = ctx
	return b.errs
}

func TestAPublisherOfBatchesIsGivenTheContextSoThatTheTimeoutHolds(t *testing.T) {
	pub := &batcher{}
	store, _ := deadletter.Topic(pub, deadletter.TopicConfig{Name: "dead"})
	h := wrap(t, store, deadletter.Config{}, failing(errBoom))
	if _, err := h(message.NewMessage("1", nil)); err != nil {
		t.Fatal(err)
	}
	if _, ok := pub.ctx.Deadline(); !ok || len(pub.All()) != 0 {
		t.Fatal("want one batch with a deadline")
	}
	pub.errs = []error{errors.New("refused")}
	if _, err := h(message.NewMessage("1", nil)); !errors.Is(err, pub.errs[0]) {
		t.Fatal(err)
	}
}

func TestExactlyOneOfNameAndForIsRequired(t *testing.T) {
	for _, cfg := range []deadletter.TopicConfig{{}, {Name: "x", For: func(s string) string { return s }}} {
		_, err := deadletter.Topic(nil, cfg)
		if err == nil || !strings.Contains(err.Error(), "TopicConfig.Name") || !strings.Contains(err.Error(), "publisher") {
			t.Error(err)
		}
	}
}
