package trace_test

import (
	"context"
	"encoding/binary"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
	"go.opentelemetry.io/otel/trace/noop"
)

// recorder is a tracer provider that remembers spans, without the SDK.
type recorder struct {
	embedded.TracerProvider
	mu    sync.Mutex
	spans []*span
}

func (r *recorder) Tracer(string, ...oteltrace.TracerOption) oteltrace.Tracer {
	return &tracer{r: r}
}

type tracer struct {
	embedded.Tracer
	r *recorder
}

func (t *tracer) Start(ctx context.Context, name string, opts ...oteltrace.SpanStartOption) (context.Context, oteltrace.Span) {
	r := t.r
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg := oteltrace.NewSpanStartConfig(opts...)
	parent := oteltrace.SpanContextFromContext(ctx)
	s := &span{name: name, kind: cfg.SpanKind(), parent: parent, attrs: map[string]string{}}
	s.SetAttributes(cfg.Attributes()...)
	traceID := parent.TraceID()
	if !traceID.IsValid() {
		binary.BigEndian.PutUint64(traceID[:], uint64(len(r.spans)+1))
	}
	var id oteltrace.SpanID
	binary.BigEndian.PutUint64(id[:], uint64(len(r.spans)+100))
	s.own = oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: traceID, SpanID: id, TraceFlags: oteltrace.FlagsSampled, TraceState: parent.TraceState(),
	})
	r.spans = append(r.spans, s)
	return oteltrace.ContextWithSpan(ctx, s), s
}

type span struct {
	noop.Span
	name   string
	kind   oteltrace.SpanKind
	parent oteltrace.SpanContext
	own    oteltrace.SpanContext
	attrs  map[string]string
	events []string
	status codes.Code
	text   string
	ended  bool
}

func (s *span) SpanContext() oteltrace.SpanContext { return s.own }
func (s *span) End(...oteltrace.SpanEndOption)     { s.ended = true }
func (s *span) SetStatus(c codes.Code, text string) {
	s.status, s.text = c, text
}

func (s *span) AddEvent(name string, opts ...oteltrace.EventOption) {
	s.events = append(s.events, name)
	cfg := oteltrace.NewEventConfig(opts...)
	s.SetAttributes(cfg.Attributes()...)
}

func (s *span) SetAttributes(kvs ...attribute.KeyValue) {
	for _, kv := range kvs {
		s.attrs[string(kv.Key)] = kv.Value.Emit()
	}
}
