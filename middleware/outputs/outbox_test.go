package outputs_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/outputs"
)

var errBoom = errors.New("boom")

// fakeTx stands for an open transaction; only its identity matters here.
type fakeTx struct{ dbtx.Tx }

func (*fakeTx) ExecContext(context.Context, string, ...any) (sql.Result, error) { return nil, nil }

type box struct {
	calls int
	tx    dbtx.Executor
	pub   routertest.Publisher
}

func (b *box) Publish(_ context.Context, tx dbtx.Executor, topic string, msgs ...*message.Message) error {
	b.calls++
	b.tx = tx
	return b.pub.Publish(topic, msgs...)
}

func produce(err error, msgs ...*message.Message) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) { return msgs, err }
}

func inTx(t *testing.T) (*message.Message, *fakeTx) {
	t.Helper()
	tx := &fakeTx{}
	return message.NewMessageWithContext(dbtx.With(t.Context(), tx, nil), "consumed", nil), tx
}

func outbox(t *testing.T, b *box, cfg outputs.OutboxConfig) message.HandlerMiddleware {
	t.Helper()
	m, err := outputs.Outbox(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOutputsAreWrittenInTheTransactionInOrderAndNoneAreLeft(t *testing.T) {
	b := &box{}
	msg, tx := inTx(t)
	h := outbox(t, b, outputs.OutboxConfig{
		Topic:    "fallback",
		TopicFor: func(m *message.Message) string { return map[string]string{"2": "by-uuid"}[m.UUID] },
	})(produce(nil, message.NewMessage("1", nil), message.NewMessage("2", nil), outputs.To(message.NewMessage("3", nil), "named"),
		outputs.To(&message.Message{UUID: "4"}, "named"), message.NewMessage("5", nil)))
	out, err := h(msg)
	if err != nil || out != nil || b.tx != tx {
		t.Fatal(out, err, b.tx)
	}
	var got []string
	for _, m := range b.pub.All() {
		got = append(got, m.UUID+"→"+m.Topic)
		if m.Metadata.Get(header.Topic) != "" {
			t.Error("the mark must be taken off")
		}
	}
	if s := strings.Join(got, " "); s != "1→fallback 2→by-uuid 3→named 4→named 5→fallback" || b.calls != 4 {
		t.Fatalf("%s in %d calls", s, b.calls)
	}
}

func TestAFailedHandlersOutputsAreNotWritten(t *testing.T) {
	b := &box{}
	msg, _ := inTx(t)
	out, err := outbox(t, b, outputs.OutboxConfig{Topic: "t"})(produce(errBoom, message.NewMessage("1", nil)))(msg)
	if out != nil || err != errBoom || b.calls != 0 { //nolint:errorlint // as it is
		t.Fatal(out, err, b.calls)
	}
}

func TestWithoutATransactionNothingIsWritten(t *testing.T) {
	b := &box{}
	m := outbox(t, b, outputs.OutboxConfig{Topic: "t"})
	if _, err := m(produce(nil, message.NewMessage("1", nil)))(message.NewMessage("c", nil)); !errors.Is(err, outputs.ErrNoTransaction) || b.calls != 0 {
		t.Fatal(err)
	}
	if _, err := m(produce(nil))(message.NewMessage("c", nil)); err != nil {
		t.Fatal("a handler that puts out nothing needs none:", err)
	}
}

func TestAnErrorOfTheOutboxIsReturnedSoThatTheTransactionRollsBack(t *testing.T) {
	b := &box{}
	b.pub.Fail(errBoom)
	msg, _ := inTx(t)
	out, err := outbox(t, b, outputs.OutboxConfig{Topic: "t"})(produce(nil, message.NewMessage("1", nil)))(msg)
	if out != nil || !errors.Is(err, errBoom) {
		t.Fatal(out, err)
	}
}

func TestAMessageWithoutATopicAndANilMessageArePermanentFailures(t *testing.T) {
	b := &box{}
	msg, _ := inTx(t)
	_, err := outbox(t, b, outputs.OutboxConfig{})(produce(nil, message.NewMessage("1", nil)))(msg)
	if !errors.Is(err, outputs.ErrNoTopic) || !failure.IsPermanent(err) || b.calls != 0 {
		t.Fatal(err)
	}
	_, err = outbox(t, b, outputs.OutboxConfig{Topic: "t"})(func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{message.NewMessage("1", nil), nil}, nil
	})(msg)
	if !failure.IsPermanent(err) || b.calls != 0 {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenIsACopyPreparedForTheTrace(t *testing.T) {
	b := &box{}
	msg, _ := inTx(t)
	d := &delivery.Delivery{}
	d.OnOutgoing(func(m *message.Message) { m.Metadata.Set("traceparent", "00-…") })
	msg.SetContext(delivery.With(msg.Context(), d))
	outputs.To(msg, "elsewhere") // passed through, as Watermill's PassthroughHandler does
	_, err := outbox(t, b, outputs.OutboxConfig{})(func(msg *message.Message) ([]*message.Message, error) {
		return []*message.Message{msg}, nil
	})(msg)
	if err != nil {
		t.Fatal(err)
	}
	got := b.pub.All()[0]
	if got.Message == msg || got.Metadata.Get("traceparent") == "" || msg.Metadata.Get("traceparent") != "" || msg.Metadata.Get(header.Topic) == "" {
		t.Fatal("the consumed message must stay as it was, and the copy be prepared")
	}
	if got.Context() != msg.Context() {
		t.Fatal("the copy must carry the context of the consumed message")
	}
}

func TestOutboxWorksAloneOnAPlainRouter(t *testing.T) {
	b := &box{}
	begin := func(h message.HandlerFunc) message.HandlerFunc { // stands for the transaction's middleware
		return func(msg *message.Message) ([]*message.Message, error) {
			msg.SetContext(dbtx.With(msg.Context(), &fakeTx{}, nil))
			return h(msg)
		}
	}
	r := routertest.Start(t, produce(nil, message.NewMessage("1", nil)), begin, outbox(t, b, outputs.OutboxConfig{Topic: "t"}))
	if got := r.Deliver(message.NewMessage("c", nil)); got != routertest.Acked || len(r.Published.All()) != 0 || len(b.pub.All()) != 1 {
		t.Fatal(got)
	}
	b.pub.Fail(errBoom)
	if got := r.Deliver(message.NewMessage("c", nil)); got != routertest.Nacked {
		t.Fatal(got)
	}
}

func TestANilBoxIsRefused(t *testing.T) {
	if _, err := outputs.Outbox(nil, outputs.OutboxConfig{}); err == nil || !strings.Contains(err.Error(), "box") {
		t.Fatal(err)
	}
}
