package trace_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/trace"
)

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func wrap(t *testing.T, r *recorder, h message.HandlerFunc) message.HandlerFunc {
	t.Helper()
	m, err := trace.New(trace.Config{TracerProvider: r})
	if err != nil {
		t.Fatal(err)
	}
	return m(h)
}

func traced() *message.Message {
	msg := message.NewMessage("1", []byte("card 4111"))
	msg.Metadata.Set(header.TraceParent, parent)
	msg.Metadata.Set(header.TraceState, "vendor=x")
	msg.Metadata.Set("secret", "hunter2")
	return msg
}

func TestTheTraceOfTheMessageGoesOnInTheHandlerAndInItsOutputs(t *testing.T) {
	r := &recorder{}
	msg := traced()
	entry := delivery.With(t.Context(), &delivery.Delivery{})
	msg.SetContext(entry)
	out, err := wrap(t, r, func(msg *message.Message) ([]*message.Message, error) {
		if got := oteltrace.SpanContextFromContext(msg.Context()); !got.Equal(r.spans[0].own) {
			t.Errorf("the handler's span context: %v", got)
		}
		if r.spans[0].ended {
			t.Error("the span must cover the handler")
		}
		own := message.NewMessage("own", nil)
		own.Metadata.Set(header.TraceParent, "kept")
		return []*message.Message{{UUID: "nil metadata"}, own}, nil
	})(msg)
	if err != nil || msg.Context() != entry {
		t.Fatal("the former context must be back", err)
	}
	s := r.spans[0]
	if s.parent.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" || !s.parent.IsRemote() || s.kind != oteltrace.SpanKindConsumer || !s.ended {
		t.Fatalf("%+v", s)
	}
	want := fmt.Sprintf("00-0af7651916cd43dd8448eb211c80319c-%s-01", s.own.SpanID())
	if got := out[0].Metadata; got.Get(header.TraceParent) != want || got.Get(header.TraceState) != "vendor=x" {
		t.Fatalf("output carries %v, want %s", got, want)
	}
	if out[1].Metadata.Get(header.TraceParent) != "kept" {
		t.Fatal("a traceparent of the handler's own must stay")
	}
}

func TestAnInnerLayerThatPublishesHasItsOutputsPrepared(t *testing.T) {
	r := &recorder{}
	prepared := message.NewMessage("out", nil)
	_, _ = wrap(t, r, func(msg *message.Message) ([]*message.Message, error) {
		delivery.From(msg.Context()).Outgoing(prepared)
		return nil, nil
	})(traced())
	if !strings.Contains(prepared.Metadata.Get(header.TraceParent), "0af7651916cd43dd8448eb211c80319c") {
		t.Fatalf("%v", prepared.Metadata)
	}
}

func TestTheSpanFollowsTheConventionsAndHoldsNoPayloadOrMetadata(t *testing.T) {
	r := &recorder{}
	msg := traced()
	msg.SetContext(delivery.With(t.Context(), &delivery.Delivery{Consumer: "shop", Handler: "stock", Topic: "orders"}))
	boom := errors.New("boom " + strings.Repeat("错", 1000))
	_, err := wrap(t, r, func(msg *message.Message) ([]*message.Message, error) {
		delivery.From(msg.Context()).Begin(3)
		return nil, boom
	})(msg)
	if err != boom { //nolint:errorlint // as it is
		t.Fatal(err)
	}
	s := r.spans[0]
	if s.name != "process orders" || s.status != codes.Error || !strings.HasPrefix(s.text, "boom ") || len(s.text) > 512 || !s.ended {
		t.Fatalf("%+v", s)
	}
	for k, want := range map[string]string{
		"messaging.system": "watermill", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "orders", "messaging.message.id": "1", "messaging.message.body.size": "9",
		"sluicegate.handler": "stock", "sluicegate.consumer": "shop", "sluicegate.attempts": "3",
		"error.type": "*errors.errorString", "exception.type": "*errors.errorString",
	} {
		if s.attrs[k] != want {
			t.Errorf("%s = %q, want %q", k, s.attrs[k], want)
		}
	}
	for k, v := range s.attrs {
		if strings.Contains(v, "4111") || strings.Contains(v, "hunter2") || len(v) > 512 {
			t.Errorf("%s = %q", k, v)
		}
	}
	if len(s.events) != 1 || s.events[0] != "exception" {
		t.Errorf("%v", s.events)
	}
}

func TestASpanEndsAlsoOnAPanic(t *testing.T) {
	r := &recorder{}
	defer func() {
		if recover() == nil || !r.spans[0].ended {
			t.Error("want the panic and an ended span")
		}
	}()
	_, _ = wrap(t, r, func(*message.Message) ([]*message.Message, error) { panic("boom") })(traced())
}

func TestAloneOnAPlainRouterTheRouterPublishesWhatIsTraced(t *testing.T) {
	rec := &recorder{}
	m, err := trace.New(trace.Config{TracerProvider: rec})
	if err != nil {
		t.Fatal(err)
	}
	r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{message.NewMessage("out", nil)}, nil
	}, m)
	if got := r.Deliver(traced()); got != routertest.Acked {
		t.Fatal(got)
	}
	if got := r.Published.All()[0].Metadata.Get(header.TraceParent); !strings.Contains(got, "0af7651916cd43dd8448eb211c80319c") {
		t.Fatalf("%q", got)
	}
	if s := rec.spans[0]; s.name != "process "+routertest.Topic || s.attrs["sluicegate.handler"] != routertest.Handler {
		t.Fatalf("%+v", s)
	}
}

func TestWithoutAProviderAMessageWithoutATracePassesUntouched(t *testing.T) {
	m, err := trace.New(trace.Config{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := m(func(msg *message.Message) ([]*message.Message, error) { return []*message.Message{msg}, nil })(message.NewMessage("1", nil))
	if err != nil || len(out[0].Metadata) != 0 {
		t.Fatal(out[0].Metadata, err)
	}
}

func TestWithoutAProviderTheTraceIsHandedOnToHandlerAndOutputs(t *testing.T) {
	for name, cfg := range map[string]trace.Config{"the global one": {}, "noop": {TracerProvider: noop.NewTracerProvider()}} {
		t.Run(name, func(t *testing.T) {
			mw, err := trace.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var seen oteltrace.SpanContext
			inner := message.NewMessage("inner", nil)
			out, err := mw(func(msg *message.Message) ([]*message.Message, error) {
				seen = oteltrace.SpanContextFromContext(msg.Context())
				delivery.From(msg.Context()).Outgoing(inner)
				return []*message.Message{message.NewMessage("out", nil)}, nil
			})(onDelivery(traced()))
			if err != nil {
				t.Fatal(err)
			}
			want := traced().Metadata.Get("traceparent")
			if got := out[0].Metadata.Get("traceparent"); got != want || inner.Metadata.Get("traceparent") != want || !seen.IsRemote() {
				t.Errorf("the outputs have %q and %q, the handler %v; want %q", got, inner.Metadata.Get("traceparent"), seen, want)
			}
		})
	}
}

// onDelivery has the message carry a delivery, as in a stack.
func onDelivery(msg *message.Message) *message.Message {
	msg.SetContext(delivery.With(msg.Context(), &delivery.Delivery{Handler: "stock"}))
	return msg
}

// later is set as the global provider; the first global one keeps to it.
var later recorder

func TestAProviderThatIsSetLaterMakesSpans(t *testing.T) {
	first := otel.GetTracerProvider()
	t.Cleanup(func() { otel.SetTracerProvider(first) })
	mw, err := trace.New(trace.Config{})
	if err != nil {
		t.Fatal(err)
	}
	before := len(later.spans)
	otel.SetTracerProvider(&later)
	if _, err := mw(func(*message.Message) ([]*message.Message, error) { return nil, nil })(traced()); err != nil {
		t.Fatal(err)
	}
	if n := len(later.spans) - before; n != 1 || !later.spans[before].ended {
		t.Errorf("%d spans, want one", n)
	}
}
