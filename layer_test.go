package sluicegate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

func layer(kind sluicegate.Kind, trace *[]string) sluicegate.Layer {
	return sluicegate.Layer{Kind: kind, Middleware: func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			*trace = append(*trace, string(kind))
			return next(msg)
		}
	}}
}

func TestComposeRunsTheFirstLayerOutermost(t *testing.T) {
	var got []string
	mw, err := sluicegate.Compose(sluicegate.SQL,
		layer(sluicegate.KindDeadLetter, &got), layer(sluicegate.KindCustom, &got),
		layer(sluicegate.KindRetry, &got), layer(sluicegate.KindTransaction, &got))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mw(func(*message.Message) ([]*message.Message, error) { return nil, nil })(message.NewMessage("1", nil)); err != nil {
		t.Fatal(err)
	}
	if want := "dead letter,custom,retry,transaction"; strings.Join(got, ",") != want {
		t.Fatalf("ran %v, want %s", got, want)
	}
}

func TestComposeRefusesAnOrderThatBreaksAPromise(t *testing.T) {
	var got []string
	for name, c := range map[string]struct {
		strength sluicegate.Strength
		kinds    []sluicegate.Kind
		problems []string
	}{
		"a retry inside the transaction doubles effects": {
			sluicegate.SQL, []sluicegate.Kind{sluicegate.KindTransaction, sluicegate.KindRetry},
			[]string{`"retry" must stand outside "transaction"`},
		},
		"a dead letter inside idempotency marks failures as done": {
			sluicegate.Claimed, []sluicegate.Kind{sluicegate.KindIdempotency, sluicegate.KindDeadLetter},
			[]string{`"dead letter" must stand outside "idempotency"`},
		},
		"outputs inside the claim are lost when publishing fails": {
			sluicegate.Claimed, []sluicegate.Kind{sluicegate.KindIdempotency, sluicegate.KindOutputs},
			[]string{`"outputs" must stand outside "idempotency"`},
		},
		"every problem is reported": {
			sluicegate.SQL, []sluicegate.Kind{sluicegate.KindRetry, sluicegate.KindRetry, sluicegate.KindIdempotency, sluicegate.KindTrace},
			[]string{`"retry" stands twice`, `"idempotency" has no place in the sql chain`, `"trace" must stand outside "retry"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var layers []sluicegate.Layer
			for _, k := range c.kinds {
				layers = append(layers, layer(k, &got))
			}
			_, err := sluicegate.Compose(c.strength, layers...)
			if !errors.Is(err, sluicegate.ErrOrder) {
				t.Fatalf("got %v, want ErrOrder", err)
			}
			for _, p := range c.problems {
				if !strings.Contains(err.Error(), p) {
					t.Errorf("error %q does not name the problem %q", err, p)
				}
			}
		})
	}
	if _, err := sluicegate.Compose("redis"); err == nil {
		t.Error("an unknown strength was accepted")
	}
	if _, err := sluicegate.Compose(sluicegate.SQL, sluicegate.Layer{Kind: sluicegate.KindRetry}); err == nil {
		t.Error("a nil middleware was accepted")
	}
}
