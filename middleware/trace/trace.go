package trace

import (
	"context"
	"fmt"
	"reflect"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/text"
)

const (
	scope   = "github.com/sluicegate/sluicegate/middleware/trace"
	maxText = 512
)

// Config of the middleware. The zero value is ready to use.
type Config struct {
	// TracerProvider makes the spans. Default: the global one, also where it is
	// set later.
	TracerProvider trace.TracerProvider
	// Propagator reads and writes the metadata. Default: W3C Trace Context,
	// whatever the global one is, which does nothing until it is set.
	Propagator propagation.TextMapPropagator
	// System is the attribute messaging.system. Default "watermill".
	System string

	global  bool // TracerProvider is the global one
	foreign bool // Propagator may hand on more than the span
}

// New returns the middleware. It is safe for concurrent use and owns no
// goroutine. The error is always nil for now.
func New(cfg Config) (message.HandlerMiddleware, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider, cfg.global = otel.GetTracerProvider(), true
	}
	if cfg.Propagator == nil {
		cfg.Propagator = propagation.TraceContext{}
	} else {
		cfg.foreign = true
	}
	if cfg.System == "" {
		cfg.System = "watermill"
	}
	t := &tracer{cfg: cfg, tracer: cfg.TracerProvider.Tracer(scope)}
	if silent(cfg.TracerProvider) {
		t.silent = cfg.TracerProvider
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) { return t.handle(msg, h) }
	}, nil
}

type tracer struct {
	cfg    Config
	tracer trace.Tracer
	silent trace.TracerProvider // nil where the provider makes spans
}

// silent reports whether p is one of the API's own, which make no spans: that
// which does nothing, or the global one, until another is set in its place. A
// provider that is not known as one only costs more.
func silent(p trace.TracerProvider) bool {
	t := reflect.TypeOf(p)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.PkgPath() {
	case "go.opentelemetry.io/otel/trace/noop", "go.opentelemetry.io/otel/internal/global":
		return true
	}
	return false
}

// passesOn reports whether no span would be made: the context that a message
// brings is then only handed on to what comes of it.
func (t *tracer) passesOn() bool {
	if t.silent == nil {
		return false
	}
	if t.cfg.global {
		return otel.GetTracerProvider() == t.silent
	}
	return true
}

func (t *tracer) handle(msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	d, undo := delivery.Ensure(msg)
	defer undo()
	entry := msg.Context()
	ctx := t.cfg.Propagator.Extract(entry, carrier{msg})
	if t.passesOn() {
		return t.pass(ctx, entry, d, msg, h)
	}
	ctx, span := t.tracer.Start(ctx, "process "+d.Topic,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(t.attributes(msg, d)...))
	// Also reached by a panic, which the Router recovers.
	defer span.End()
	msg.SetContext(ctx)
	defer msg.SetContext(entry)
	d.OnOutgoing(func(out *message.Message) { t.inject(ctx, out) })

	out, err := h(msg)
	if n := d.Attempt(); n > 0 {
		span.SetAttributes(attribute.Int("sluicegate.attempts", n))
	}
	if err != nil {
		short := text.Short(err.Error(), maxText)
		// Not RecordError, which would take the whole text.
		span.AddEvent("exception", trace.WithAttributes(
			attribute.String("exception.type", fmt.Sprintf("%T", err)),
			attribute.String("exception.message", short)))
		span.SetAttributes(attribute.String("error.type", fmt.Sprintf("%T", err)))
		span.SetStatus(codes.Error, short)
		return out, err
	}
	for _, m := range out {
		t.inject(ctx, m)
	}
	return out, nil
}

// pass is handle without a span.
func (t *tracer) pass(ctx, entry context.Context, d *delivery.Delivery, msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	if ctx == entry && !trace.SpanContextFromContext(ctx).IsValid() && !t.cfg.foreign {
		return h(msg) // there is nothing to hand on
	}
	if ctx != entry {
		msg.SetContext(ctx)
		defer msg.SetContext(entry)
	}
	d.OnOutgoing(func(out *message.Message) { t.inject(ctx, out) })
	out, err := h(msg)
	if err == nil {
		for _, m := range out {
			t.inject(ctx, m)
		}
	}
	return out, err
}

func (t *tracer) attributes(msg *message.Message, d *delivery.Delivery) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		attribute.String("messaging.system", t.cfg.System),
		attribute.String("messaging.operation.name", "process"),
		attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", d.Topic),
		attribute.Int("messaging.message.body.size", len(msg.Payload)),
		attribute.String("sluicegate.handler", d.Handler),
	}
	if msg.UUID != "" {
		attrs = append(attrs, attribute.String("messaging.message.id", msg.UUID))
	}
	if d.Consumer != "" {
		attrs = append(attrs, attribute.String("sluicegate.consumer", d.Consumer))
	}
	return attrs
}

// inject writes the span's context into out, unless it brings one.
func (t *tracer) inject(ctx context.Context, out *message.Message) {
	for _, field := range t.cfg.Propagator.Fields() {
		if out.Metadata.Get(field) != "" {
			return
		}
	}
	t.cfg.Propagator.Inject(ctx, carrier{out})
}

// carrier is a message's metadata as OpenTelemetry reads it.
type carrier struct{ msg *message.Message }

func (c carrier) Get(key string) string { return c.msg.Metadata.Get(key) }

func (c carrier) Set(key, value string) {
	if c.msg.Metadata == nil {
		c.msg.Metadata = message.Metadata{}
	}
	c.msg.Metadata.Set(key, value)
}

func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c.msg.Metadata))
	for k := range c.msg.Metadata {
		keys = append(keys, k)
	}
	return keys
}
