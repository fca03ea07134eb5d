// Package routertest runs a handler on a plain Watermill Router, fed by hand,
// for tests of middlewares.
package routertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// The names that the Router gives to the handler and its topics.
const (
	Handler = "stock"
	Topic   = "orders.placed"
	Outputs = "orders.paid"
)

// Outcome is what became of a delivery.
type Outcome string

// The outcomes.
const (
	Acked  Outcome = "acked"
	Nacked Outcome = "nacked"
)

// Router is a running Router with one handler.
type Router struct {
	// Published holds what the Router itself published.
	Published *Publisher

	router *message.Router
	sub    *subscriber
	ran    chan error
}

// Start runs h behind middlewares, the first of which is the outermost, and
// closes the Router at the end of the test.
func Start(tb testing.TB, h message.HandlerFunc, middlewares ...message.HandlerMiddleware) *Router {
	tb.Helper()
	return StartNamed(tb, Handler, h, middlewares...)
}

// StartNamed is Start with another name for the handler.
func StartNamed(tb testing.TB, name string, h message.HandlerFunc, middlewares ...message.HandlerMiddleware) *Router {
	tb.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		tb.Fatal(err)
	}
	r := &Router{Published: &Publisher{}, router: router, sub: &subscriber{out: make(chan *message.Message)}, ran: make(chan error, 1)}
	router.AddMiddleware(middlewares...)
	router.AddHandler(name, Topic, r.sub, Outputs, r.Published, h)
	go func() { r.ran <- router.Run(context.Background()) }()
	<-router.Running()
	tb.Cleanup(func() { r.Close(tb) })
	return r
}

// Close closes the Router, which cancels the contexts of messages in flight,
// and waits until it has ended. It may be called again.
func (r *Router) Close(tb testing.TB) {
	tb.Helper()
	if r.ran == nil {
		return
	}
	if err := errors.Join(r.router.Close(), <-r.ran); err != nil {
		tb.Error(err)
	}
	r.ran = nil
}

// Deliver gives msg to the handler once and waits for what becomes of it.
func (r *Router) Deliver(msg *message.Message) Outcome { return <-r.Begin(msg) }

// Begin gives msg to the handler once.
func (r *Router) Begin(msg *message.Message) <-chan Outcome {
	msg.SetContext(r.sub.ctx)
	r.sub.out <- msg
	done := make(chan Outcome, 1)
	go func() {
		select {
		case <-msg.Acked():
			done <- Acked
		case <-msg.Nacked():
			done <- Nacked
		}
	}()
	return done
}

type subscriber struct {
	ctx  context.Context // what Subscribe got
	out  chan *message.Message
	once sync.Once
}

func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	s.ctx = ctx
	return s.out, nil
}

func (s *subscriber) Close() error {
	s.once.Do(func() { close(s.out) })
	return nil
}

// Message is what a Publisher was given.
type Message struct {
	Topic string
	*message.Message
}

// Publisher remembers what it was given.
type Publisher struct {
	mu   sync.Mutex
	msgs []Message
	fail error
}

// Fail makes Publish return err; nil ends that.
func (p *Publisher) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

// Publish remembers msgs.
func (p *Publisher) Publish(topic string, msgs ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	for _, m := range msgs {
		p.msgs = append(p.msgs, Message{Topic: topic, Message: m})
	}
	return nil
}

// All returns what was published so far.
func (p *Publisher) All() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Message(nil), p.msgs...)
}

// Close does nothing.
func (p *Publisher) Close() error { return nil }
