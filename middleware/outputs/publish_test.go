package outputs_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/outputs"
)

func publish(t *testing.T, pub message.Publisher, cfg outputs.PublishConfig) message.HandlerMiddleware {
	t.Helper()
	m, err := outputs.Publish(pub, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// flaky fails its first calls.
type flaky struct {
	routertest.Publisher
	failures int
	at       []time.Time
}

func (p *flaky) Publish(topic string, msgs ...*message.Message) error {
	p.at = append(p.at, time.Now())
	if p.failures--; p.failures >= 0 {
		return errBoom
	}
	return p.Publisher.Publish(topic, msgs...)
}

// batcher publishes batches by script: what each call answers, by UUID.
type batcher struct {
	routertest.Publisher
	script []map[string]error
	calls  []string
}

func (p *batcher) PublishBatch(_ context.Context, msgs []batch.Outgoing) []error {
	errs := make([]error, len(msgs))
	var call []string
	failed := false
	for i, m := range msgs {
		call = append(call, m.Topic+"/"+m.Message.UUID)
		if len(p.script) > 0 {
			errs[i] = p.script[0][m.Message.UUID]
		}
		if errs[i] == nil {
			_ = p.Publisher.Publish(m.Topic, m.Message)
		}
		failed = failed || errs[i] != nil
	}
	p.calls = append(p.calls, strings.Join(call, " "))
	if len(p.script) > 0 {
		p.script = p.script[1:]
	}
	if !failed {
		return nil
	}
	return errs
}

func uuids(pub *routertest.Publisher) string {
	var out []string
	for _, m := range pub.All() {
		out = append(out, m.UUID)
	}
	return strings.Join(out, " ")
}

func three() message.HandlerFunc {
	return produce(nil, message.NewMessage("1", nil), message.NewMessage("2", nil), outputs.To(message.NewMessage("3", nil), "other"))
}

func TestAFailureIsTriedAgainWithoutRunningTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := &flaky{failures: 3}
		calls := 0
		out, err := publish(t, pub, outputs.PublishConfig{Topic: "t"})(func(*message.Message) ([]*message.Message, error) {
			calls++
			return []*message.Message{message.NewMessage("1", nil)}, nil
		})(message.NewMessage("c", nil))
		if out != nil || err != nil || calls != 1 || uuids(&pub.Publisher) != "1" {
			t.Fatal(out, err, calls, uuids(&pub.Publisher))
		}
		for i, bound := range []int64{50, 100, 200} {
			if d := pub.at[i+1].Sub(pub.at[i]); d.Milliseconds() > bound {
				t.Errorf("wait %d took %s, more than %dms", i+1, d, bound)
			}
		}
	})
}

func TestWhatCannotBePublishedGoesBackAsAnAbsenceWhichSpendsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := &flaky{failures: 100}
		out, err := publish(t, pub, outputs.PublishConfig{Topic: "t"})(three())(message.NewMessage("c", nil))
		if out != nil || !failure.IsUnavailable(err) || !errors.Is(err, errBoom) || len(pub.at) != 5 {
			t.Fatal(out, err, len(pub.at))
		}
	})
}

func TestTheEndOfTheMessagesContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := &flaky{failures: 100}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		h := publish(t, pub, outputs.PublishConfig{Topic: "t", Initial: time.Hour, MaxAttempts: 1000})(func(*message.Message) ([]*message.Message, error) {
			cancel()
			return []*message.Message{message.NewMessage("1", nil)}, nil
		})
		start := time.Now()
		_, err := h(message.NewMessageWithContext(ctx, "c", nil))
		if !errors.Is(err, context.Canceled) || !errors.Is(err, errBoom) || time.Since(start) != 0 || len(pub.at) != 1 {
			t.Fatal(err, time.Since(start), len(pub.at))
		}
	})
}

func TestAPlainPublisherGetsOneCallATopicAndNotAgainWhatItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := &flaky{}
		fail := true
		h := publish(t, publisherFunc(func(topic string, msgs ...*message.Message) error {
			if topic == "other" && fail {
				fail = false
				return errBoom
			}
			return pub.Publish(topic, msgs...)
		}), outputs.PublishConfig{Topic: "t"})(three())
		if _, err := h(message.NewMessage("c", nil)); err != nil || uuids(&pub.Publisher) != "1 2 3" || len(pub.at) != 2 {
			t.Fatal(err, uuids(&pub.Publisher), len(pub.at))
		}
	})
}

type publisherFunc func(topic string, msgs ...*message.Message) error

func (f publisherFunc) Publish(topic string, msgs ...*message.Message) error {
	return f(topic, msgs...)
}
func (publisherFunc) Close() error { return nil }

func TestABatchOffersOnlyWhatWasNotAcknowledgedAgainInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := &batcher{script: []map[string]error{{"1": errBoom, "3": errBoom}, {"3": errBoom}}}
		_, err := publish(t, pub, outputs.PublishConfig{Topic: "t"})(three())(message.NewMessage("c", nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(pub.calls); got != "[t/1 t/2 other/3 t/1 other/3 other/3]" || len(pub.calls) != 3 {
			t.Fatal(got)
		}
		if uuids(&pub.Publisher) != "2 1 3" {
			t.Fatal(uuids(&pub.Publisher))
		}
	})
}

func TestWhatCanNeverBePublishedIsPermanentAfterTheOthersWerePublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		never := failure.Permanent(errors.New("too large"))
		pub := &batcher{script: []map[string]error{{"1": errBoom, "2": never}, {"2": never}}}
		_, err := publish(t, pub, outputs.PublishConfig{Topic: "t"})(three())(message.NewMessage("c", nil))
		if !failure.IsPermanent(err) || failure.IsUnavailable(err) || uuids(&pub.Publisher) != "3 1" {
			t.Fatal(err, uuids(&pub.Publisher))
		}
	})
}

func TestAFailedHandlersOutputsAreNotPublished(t *testing.T) {
	pub := &flaky{}
	out, err := publish(t, pub, outputs.PublishConfig{Topic: "t"})(produce(errBoom, message.NewMessage("1", nil)))(message.NewMessage("c", nil))
	if out != nil || err != errBoom || len(pub.at) != 0 { //nolint:errorlint // as it is
		t.Fatal(out, err)
	}
}

func TestRepublishedIsToldOfStoredOutputsOnly(t *testing.T) {
	var told []outputs.Event
	m := publish(t, &routertest.Publisher{}, outputs.PublishConfig{Topic: "t", Observe: func(e outputs.Event) { told = append(told, e) }})
	_, _ = m(three())(message.NewMessage("first", nil))
	if len(told) != 0 {
		t.Fatalf("%+v", told)
	}
	_, _ = m(func(msg *message.Message) ([]*message.Message, error) {
		delivery.From(msg.Context()).Replay()
		return three()(msg)
	})(message.NewMessage("again", nil))
	if len(told) != 1 || told[0].Kind != event.Republished || told[0].MessageID != "again" {
		t.Fatalf("%+v", told)
	}
}

func TestPublishWorksAloneOnAPlainRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pub := &routertest.Publisher{}
		r := routertest.Start(t, three(), publish(t, pub, outputs.PublishConfig{Topic: "t"}))
		if got := r.Deliver(message.NewMessage("c", nil)); got != routertest.Acked || len(r.Published.All()) != 0 || uuids(pub) != "1 2 3" {
			t.Fatal(got, uuids(pub))
		}
		pub.Fail(errBoom)
		if got := r.Deliver(message.NewMessage("c", nil)); got != routertest.Nacked {
			t.Fatal(got)
		}
	})
}

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	_, err := outputs.Publish(nil, outputs.PublishConfig{MaxAttempts: -1, Initial: -1, Max: -1})
	for _, field := range []string{"publisher", "PublishConfig.MaxAttempts", "PublishConfig.Initial", "PublishConfig.Max:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
