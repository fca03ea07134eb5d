package fault

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestASeedDrawsTheSamePlanAndAnotherSeedAnother(t *testing.T) {
	if !reflect.DeepEqual(NewPlan(7, 500), NewPlan(7, 500)) {
		t.Error("one seed drew two plans")
	}
	if reflect.DeepEqual(NewPlan(7, 500), NewPlan(8, 500)) {
		t.Error("two seeds drew one plan")
	}
}

func TestEveryKindStrikesAndNoServiceIsBrokenTwice(t *testing.T) {
	for _, orders := range []int{10, 60, 500} {
		for seed := range uint64(20) {
			p := NewPlan(seed, orders)
			found := map[Kind]int{}
			for at, kinds := range p.kinds {
				handler := 0
				for _, k := range kinds {
					found[k]++
					if k <= Poison || k == Ail {
						handler++
					}
				}
				if handler > 1 {
					t.Errorf("seed %d: %v is broken by %v", seed, at, kinds)
				}
			}
			for kind := range share {
				if want := hits(kind, orders); found[kind] != want {
					t.Errorf("seed %d: kind %d strikes %d of %d times", seed, kind, found[kind], want)
				}
			}
		}
	}
}

// with returns a plan with one fault.
func with(kind Kind, service string) Plan {
	return Plan{kinds: map[hit][]Kind{{service, SKU(1)}: {kind}}}
}

func panics(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

func TestAHandlerFaultStrikesOnceAndPoisonAlways(t *testing.T) {
	o := shop.Order{SKU: SKU(1)}
	for kind, times := range map[Kind]int{FailBefore: 1, FailAfter: 1, PanicBefore: 1, PanicAfter: 1, Ail: 5, Poison: 7} {
		h := NewHandlers(with(kind, "stock"))
		failures := 0
		for range 7 {
			if panics(func() error { return errors.Join(h.Before("stock", o), h.After("stock", o)) }) != nil {
				failures++
			}
		}
		if failures != times {
			t.Errorf("kind %d strikes %d times, want %d", kind, failures, times)
		}
		if h.Before("points", o) != nil || h.After("points", o) != nil || h.BeforeCommit(o) != nil {
			t.Errorf("kind %d strikes elsewhere", kind)
		}
	}
}

// taker is a broker that takes everything.
type taker struct {
	message.Publisher
	taken []string
}

func (b *taker) PublishBatch(_ context.Context, msgs []batch.Outgoing) []error {
	for _, m := range msgs {
		b.taken = append(b.taken, m.Message.UUID)
	}
	return nil
}
func (*taker) Check(context.Context) error { return nil }

func outgoing(sku int, key, id string) batch.Outgoing {
	m := message.NewMessage(id, fmt.Appendf(nil, `{"sku": %q}`, SKU(sku)))
	m.Metadata.Set(header.Key, key)
	return batch.Outgoing{Topic: "t", Message: m}
}

func TestARefusedMessageHoldsBackItsKeyOnly(t *testing.T) {
	b := &taker{}
	p := NewPublisher(b, with(Refuse, ""), 1000)
	msgs := []batch.Outgoing{outgoing(0, "a", "1"), outgoing(1, "a", "2"), outgoing(2, "a", "3"), outgoing(3, "b", "4")}
	for range refusals {
		b.taken = nil
		errs := p.PublishBatch(t.Context(), msgs)
		if errs[0] != nil || errs[1] == nil || errs[2] == nil || errs[3] != nil || fmt.Sprint(b.taken) != "[1 4]" {
			t.Fatalf("errors %v, taken %v", errs, b.taken)
		}
	}
	if errs := p.PublishBatch(t.Context(), msgs[1:3]); errors.Join(errs...) != nil {
		t.Errorf("refused for good: %v", errs)
	}
}

func TestALostConfirmationIsOfAMessageThatWasTaken(t *testing.T) {
	b := &taker{}
	p := NewPublisher(b, with(LoseConfirm, ""), 1000)
	errs := p.PublishBatch(t.Context(), []batch.Outgoing{outgoing(1, "a", "1"), outgoing(2, "a", "2"), outgoing(3, "b", "3")})
	if errs[0] == nil || errs[1] == nil || errs[2] != nil || fmt.Sprint(b.taken) != "[1 2 3]" {
		t.Errorf("errors %v, taken %v", errs, b.taken)
	}
}

func TestTheBrokerGoesAwayForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPublisher(&taker{}, Plan{}, 4)
		if err := p.Publish("t", outgoing(0, "", "1").Message); err != nil {
			t.Fatal(err)
		}
		err := p.Publish("t", outgoing(0, "", "2").Message)
		if !failure.IsUnavailable(err) || p.Check(t.Context()) == nil {
			t.Errorf("the broker is there: %v", err)
		}
		timer := time.NewTimer(outage)
		<-timer.C
		if err := p.Publish("t", outgoing(0, "", "2").Message); err != nil || p.Check(t.Context()) != nil {
			t.Errorf("the broker is still away: %v", err)
		}
	})
}

// source delivers what its test sends.
type source chan *message.Message

func (s source) Subscribe(context.Context, string) (<-chan *message.Message, error) { return s, nil }
func (s source) Close() error                                                       { return nil }

func TestALostAckHasTheMessageDeliveredAgainOnce(t *testing.T) {
	in := make(source)
	d := NewDeliveries(with(LoseAck, "stock"))
	out, err := d.Subscriber("stock", in, broker.Capabilities{}).Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	defer close(in)
	for i, want := range []string{"nack", "ack"} {
		m := outgoing(1, "", "1").Message
		in <- m
		got := <-out
		if got.UUID != m.UUID || got == m {
			t.Fatalf("delivered %v", got)
		}
		got.Ack()
		answer := "ack"
		select {
		case <-m.Acked():
		case <-m.Nacked():
			answer = "nack"
		}
		if answer != want || d.Owed() != 1-i || d.Redelivered() != i {
			t.Errorf("delivery %d: %s, %d owed, %d redelivered", i+1, answer, d.Owed(), d.Redelivered())
		}
	}
}

func TestANackPassesThrough(t *testing.T) {
	in := make(source)
	out, err := NewDeliveries(Plan{}).Subscriber("stock", in, broker.Capabilities{}).Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	defer close(in)
	m := outgoing(1, "", "1").Message
	in <- m
	(<-out).Nack()
	<-m.Nacked()
}
