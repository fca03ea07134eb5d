package trap_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/sony/gobreaker"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

// One hopeless message is delivered again and again.
func TestTheCircuitBreakerIsOpenedByOneBadMessageAndFailsTheGoodOnesAndOursIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		breaker message.HandlerMiddleware
		good    int // of ten that are handled
	}{
		"plain": {middleware.NewCircuitBreaker(gobreaker.Settings{Timeout: time.Hour}).Middleware, 0},
		"ours":  {must(circuit.New(circuit.Config{}))(t).Middleware, 10},
	} {
		t.Run(name, func(t *testing.T) {
			good := 0
			h := c.breaker(func(msg *message.Message) ([]*message.Message, error) {
				if msg.UUID == "poison" {
					return nil, errBoom
				}
				good++
				return nil, nil
			})
			for range 10 {
				_, _ = h(message.NewMessage("poison", nil))
			}
			for i := range 10 {
				_, err := h(message.NewMessage(strconv.Itoa(i), nil))
				if (err == nil) != (c.good > 0) {
					t.Errorf("a good message: %v", err)
				}
				if err != nil && failure.IsUnavailable(err) {
					t.Error("the plain one's error is told apart from a failure; this trap is closed")
				}
			}
			if good != c.good {
				t.Errorf("%d good messages were handled, want %d", good, c.good)
			}
		})
	}
}

// The dependency is away, and every message fails: what becomes of one that did
// not run, and how long has it waited?
func TestTheCircuitBreakerFailsAMessageAtOnceThatDidNotRunAndOursHasItWait(t *testing.T) {
	for name, c := range map[string]struct {
		breaker message.HandlerMiddleware
		spares  bool // the error says that no attempt was made
		waits   time.Duration
	}{
		"plain": {middleware.NewCircuitBreaker(gobreaker.Settings{Timeout: time.Hour}).Middleware, false, 0},
		"ours":  {must(circuit.New(circuit.Config{FirstPause: time.Hour, MaxWait: 20 * time.Millisecond}))(t).Middleware, true, 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			h := c.breaker(func(*message.Message) ([]*message.Message, error) { calls++; return nil, errBoom })
			var err error
			var waited time.Duration
			for i := 0; err == nil || errors.Is(err, errBoom); i++ {
				start := time.Now()
				_, err = h(message.NewMessage(strconv.Itoa(i), nil))
				waited = time.Since(start)
			}
			if failure.IsUnavailable(err) != c.spares || waited < c.waits || calls > 6 {
				t.Errorf("%v after %s and %d calls", err, waited, calls)
			}
		})
	}
}
