package circuit_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

func TestDifferentMessagesThatFailOpenIt(t *testing.T) {
	for name, err := range map[string]error{
		"failures": errBoom, "an absence": failure.Unavailable(errBoom), "time-outs": fmt.Errorf("%w: %w", failure.ErrTimeout, errBoom),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, circuit.Config{}, func(*message.Message) error { return err })
				for i := range circuit.DefaultKeys - 1 {
					_ = r.deliver(strconv.Itoa(i))
				}
				r.want(circuit.Closed)
				_ = r.deliver("one more")
				r.want(circuit.Open)
			})
		})
	}
}

// It is tried again and again, alone and beside others that succeed.
func TestOneMessageThatAlwaysTimesOutNeverOpensItAlone(t *testing.T) {
	for name, others := range map[string]int{"alone": 0, "beside others": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, circuit.Config{}, func(msg *message.Message) error {
					if msg.UUID != "poison" {
						return nil
					}
					after(30 * time.Second)
					return fmt.Errorf("%w: %w", failure.ErrTimeout, context.DeadlineExceeded)
				})
				for i := range 1000 {
					if err := r.deliver("poison"); !errors.Is(err, failure.ErrTimeout) {
						t.Fatalf("try %d: %v", i, err)
					}
					for range others {
						if err := r.deliver("good-" + strconv.Itoa(i)); err != nil {
							t.Fatal(err)
						}
					}
					r.want(circuit.Closed)
				}
			})
		})
	}
}

func TestAMessageIsKnownByItsKeyWhateverItsUUID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, circuit.Config{}, func(*message.Message) error { return errBoom })
		for i := range 100 {
			msg := message.NewMessage(strconv.Itoa(i), nil)
			msg.Metadata.Set(header.IdempotencyKey, "order-1")
			_, _ = r.h(msg)
		}
		r.want(circuit.Closed)
		own := newRig(t, circuit.Config{Key: func(*message.Message) string { return "customer-1" }}, func(*message.Message) error { return errBoom })
		for i := range 100 {
			_ = own.deliver(strconv.Itoa(i))
		}
		own.want(circuit.Closed)
	})
}

func TestAFewBadMessagesAmongGoodOnesDoNotOpenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := func(uuid string) bool { return strings.HasPrefix(uuid, "bad") }
		r := newRig(t, circuit.Config{}, func(msg *message.Message) error {
			if bad(msg.UUID) {
				return errBoom
			}
			return nil
		})
		for i := range 300 { // every third message is hopeless, and tried three times
			for range 3 {
				_ = r.deliver("bad-" + strconv.Itoa(i))
			}
			_ = r.deliver("good-" + strconv.Itoa(i))
			_ = r.deliver("fine-" + strconv.Itoa(i))
		}
		r.want(circuit.Closed)
		for i := range 5 {
			_ = r.deliver("bad-again-" + strconv.Itoa(i))
		}
		r.want(circuit.Open) // now they are all bad
	})
}

func TestFailuresOlderThanTheWindowDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, circuit.Config{Window: time.Minute}, func(*message.Message) error { return errBoom })
		for i := range 20 {
			_ = r.deliver(strconv.Itoa(i))
			after(15*time.Second + time.Millisecond)
		}
		r.want(circuit.Closed)
		if n := r.status().Failing; n != 4-1 {
			t.Errorf("%d keys are said to fail within the window", n)
		}
	})
}

func TestWhatIsNoFailureOfADependencyDoesNotCount(t *testing.T) {
	over := func(t *testing.T) context.Context {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}
	for name, c := range map[string]struct {
		cfg circuit.Config
		ctx func(*testing.T) context.Context
		err error
	}{
		"permanent":                            {err: failure.Permanent(errBoom)},
		"another delivery of the key":          {err: failure.Unavailable(fmt.Errorf("claim: %w", failure.ErrBusy))},
		"a race for the record":                {err: failure.Unavailable(fmt.Errorf("claim: %w", idemstore.ErrContended))},
		"what its user does not count":         {cfg: circuit.Config{Counts: func(err error) bool { return !errors.Is(err, errBoom) }}, err: errBoom},
		"the end of the message's own context": {ctx: over, err: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.cfg, func(*message.Message) error { return c.err })
				ctx := t.Context()
				if c.ctx != nil {
					ctx = c.ctx(t)
				}
				for i := range 50 {
					if err := r.deliverOn(ctx, strconv.Itoa(i)); err != c.err { //nolint:errorlint // as it is
						t.Fatal(err)
					}
				}
				r.want(circuit.Closed)
			})
		})
	}
}
