package trap_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// poisoner returns the plain and our middleware on one publisher.
func poisoners(t *testing.T, pub message.Publisher) map[string]message.HandlerMiddleware {
	t.Helper()
	return map[string]message.HandlerMiddleware{
		"plain": must(middleware.PoisonQueue(pub, "dead"))(t),
		"ours": must(deadletter.New(must(deadletter.Topic(pub, deadletter.TopicConfig{Name: "dead"}))(t),
			deadletter.Config{}))(t),
	}
}

func TestPoisonQueuePoisonsAHealthyMessageAtRouterCloseAndOursGivesItBack(t *testing.T) {
	for name, want := range map[string]struct {
		poisoned int
		outcome  routertest.Outcome
	}{"plain": {1, routertest.Acked}, "ours": {0, routertest.Nacked}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pub := &routertest.Publisher{}
				r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
					<-msg.Context().Done() // a query that the driver gives up
					return nil, msg.Context().Err()
				}, poisoners(t, pub)[name])
				inFlight := r.Begin(message.NewMessage("1", nil))
				synctest.Wait()
				r.Close(t)
				if got := <-inFlight; got != want.outcome || len(pub.All()) != want.poisoned {
					t.Errorf("%s, %d poisoned; want %s, %d", got, len(pub.All()), want.outcome, want.poisoned)
				}
			})
		})
	}
}

func TestPoisonQueueLetsAFailedHandlersOutputsBePublishedAndOursDoesNot(t *testing.T) {
	for name, outputs := range map[string]int{"plain": 1, "ours": 0} {
		t.Run(name, func(t *testing.T) {
			pub := &routertest.Publisher{}
			r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) {
				return []*message.Message{message.NewMessage("paid", nil)}, errBoom
			}, poisoners(t, pub)[name])
			if got := r.Deliver(message.NewMessage("1", nil)); got != routertest.Acked || len(pub.All()) != 1 {
				t.Fatalf("%s, %d poisoned", got, len(pub.All()))
			}
			if got := len(r.Published.All()); got != outputs {
				t.Errorf("%d outputs of a handler that failed were published, want %d", got, outputs)
			}
		})
	}
}

// honest refuses to publish on a context that has ended, as clients do.
type honest struct{ routertest.Publisher }

func (p *honest) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		if err := m.Context().Err(); err != nil {
			return err
		}
	}
	return p.Publisher.Publish(topic, msgs...)
}

// Watermill's Timeout inside, a handler that fails in time, a publisher that
// looks at the message's context.
func TestPoisonQueuePublishesOnACancelledContextAndOursDoesNot(t *testing.T) {
	for name, want := range map[string]struct {
		deliveries, poisoned int
	}{"plain": {5, 0}, "ours": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			pub := &honest{}
			r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) { return nil, errBoom },
				poisoners(t, pub)[name], middleware.Timeout(time.Minute))
			if n, _ := deliver(r, message.NewMessage("1", nil), 5); n != want.deliveries || len(pub.All()) != want.poisoned {
				t.Errorf("%d deliveries, %d poisoned; want %+v", n, len(pub.All()), want)
			}
		})
	}
}

// What failed handlers write into the message must not get into the letter.
func TestPoisonQueueKeepsTheMessageAsTheHandlerLeftItAndOursAsItCame(t *testing.T) {
	for name, want := range map[string]string{"plain": "opened", "ours": "sealed"} {
		t.Run(name, func(t *testing.T) {
			pub := &routertest.Publisher{}
			r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
				copy(msg.Payload, "opened")
				return nil, errBoom
			}, poisoners(t, pub)[name])
			if got := r.Deliver(message.NewMessage("1", []byte("sealed"))); got != routertest.Acked {
				t.Fatal(got)
			}
			if got := string(pub.All()[0].Payload); got != want {
				t.Errorf("the letter holds %q, want %q", got, want)
			}
		})
	}
}

func TestOurLettersCarryThePoisonKeysOfWatermill(t *testing.T) {
	got := map[string]map[string]string{}
	for _, name := range []string{"plain", "ours"} {
		pub := &routertest.Publisher{}
		r := routertest.Start(t, func(*message.Message) ([]*message.Message, error) { return nil, errBoom }, poisoners(t, pub)[name])
		if outcome := r.Deliver(message.NewMessage("1", nil)); outcome != routertest.Acked {
			t.Fatal(outcome)
		}
		got[name] = map[string]string{}
		for _, key := range []string{
			middleware.ReasonForPoisonedKey, middleware.PoisonedTopicKey, middleware.PoisonedHandlerKey, middleware.PoisonedSubscriberKey,
		} {
			got[name][key] = pub.All()[0].Metadata.Get(key)
		}
	}
	for key, want := range got["plain"] {
		if want == "" || got["ours"][key] != want {
			t.Errorf("%s: ours %q, plain %q", key, got["ours"][key], want)
		}
	}
}

// context.Canceled of a context that the handler made is no shutdown: a filter
// on the error, which is what PoisonQueueWithFilter offers, cannot tell.
func TestAFilterByErrorTakesAHandlersOwnCancelForAShutdownAndOursDoesNot(t *testing.T) {
	pub := &routertest.Publisher{}
	filtered := must(middleware.PoisonQueueWithFilter(pub, "dead", func(err error) bool {
		return !strings.Contains(err.Error(), context.Canceled.Error())
	}))(t)
	for name, want := range map[string]struct {
		mw         message.HandlerMiddleware
		deliveries int
	}{"plain": {filtered, 5}, "ours": {poisoners(t, pub)["ours"], 1}} {
		t.Run(name, func(t *testing.T) {
			r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
				ctx, cancel := context.WithCancel(msg.Context())
				cancel()
				return nil, ctx.Err()
			}, want.mw)
			if n, _ := deliver(r, message.NewMessage("1", nil), 5); n != want.deliveries {
				t.Errorf("%d deliveries, want %d", n, want.deliveries)
			}
		})
	}
}
