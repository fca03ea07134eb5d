package chain

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

const memoryMessages = 300_000

var runs atomic.Int64

// Memory runs messages through Watermill's router on a parallel in-process
// subscriber and a handler that does nothing: with the whole chain of a Stack on
// the memory store, with the stock Recoverer, Retry, CorrelationID and Timeout,
// and with no middleware.
func Memory(ctx context.Context) (ours, stock, bare float64, err error) {
	m, err := alternate(ctx, memoryOurs, memoryStock, memoryBare)
	if err != nil {
		return 0, 0, 0, err
	}
	return m[0], m[1], m[2], nil
}

func nothing(*message.Message) error { return nil }

func memoryOurs(ctx context.Context) (float64, error) {
	stack, err := sluicegate.New(nil, sluicegate.Config{Store: memorystore.New(), DeadLetters: noLetters{}})
	if err != nil {
		return 0, err
	}
	return through(ctx, memoryMessages, window, func(r *message.Router, sub message.Subscriber) error {
		return stack.HandleMessage(r, "handler", "topic", sub, "", func(msg *message.Message) ([]*message.Message, error) {
			return nil, nothing(msg)
		})
	})
}

// noLetters refuses: in a measurement nothing fails.
type noLetters struct{}

func (noLetters) Put(_ context.Context, l deadletter.Letter) error {
	return fmt.Errorf("unexpected dead letter: %w", l.Err)
}

func memoryStock(ctx context.Context) (float64, error) {
	return through(ctx, memoryMessages, window, func(r *message.Router, sub message.Subscriber) error {
		retry := middleware.Retry{MaxRetries: 3, InitialInterval: 100 * time.Millisecond, Logger: watermill.NopLogger{}}
		r.AddMiddleware(middleware.Recoverer, retry.Middleware, middleware.CorrelationID, middleware.Timeout(30*time.Second))
		r.AddConsumerHandler("handler", "topic", sub, nothing)
		return nil
	})
}

func memoryBare(ctx context.Context) (float64, error) {
	return through(ctx, memoryMessages, window, func(r *message.Router, sub message.Subscriber) error {
		r.AddConsumerHandler("handler", "topic", sub, nothing)
		return nil
	})
}

// through runs n messages through a router that install has prepared, and
// returns how many a second were acked.
func through(ctx context.Context, n, inFlight int, install func(*message.Router, message.Subscriber) error) (perSecond float64, err error) {
	runtime.GC() // what the trial before has left is not this one's to clear away
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Minute}, watermill.NopLogger{})
	if err != nil {
		return 0, err
	}
	sub := newStub("m"+strconv.FormatInt(runs.Add(1), 36)+"-", n, inFlight)
	if err := install(router, sub); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	start := time.Now()
	go func() { ended <- router.Run(ctx) }()
	select {
	case <-sub.done:
	case <-ctx.Done():
	}
	took := time.Since(start)
	<-router.Running()
	if err := errors.Join(router.Close(), <-ended, ctx.Err()); err != nil {
		return 0, err
	}
	if sub.acked != n {
		return 0, fmt.Errorf("%d of %d messages were acked, %d nacked", sub.acked, n, sub.nacked)
	}
	return float64(n) / took.Seconds(), nil
}
