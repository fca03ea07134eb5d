package sluicegate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Kind names the place of a middleware in the chain.
type Kind string

// The kinds, outermost first within each strength. Custom has no place of its
// own and may stand anywhere.
const (
	KindTrace       Kind = "trace"
	KindAlerting    Kind = "alerting"
	KindDeadLetter  Kind = "dead letter"
	KindPark        Kind = "park"
	KindExpiry      Kind = "expiry"
	KindOutputs     Kind = "outputs"
	KindIdempotency Kind = "idempotency"
	KindBatch       Kind = "batch"
	KindRetry       Kind = "retry"
	KindCircuit     Kind = "circuit"
	KindUnavailable Kind = "unavailable"
	KindTransaction Kind = "transaction"
	KindTimeout     Kind = "timeout"
	KindRecovery    Kind = "recovery"
	KindCustom      Kind = "custom"
)

// Layer is one middleware with its place.
type Layer struct {
	Kind       Kind
	Middleware message.HandlerMiddleware
}

// Strength says what makes an effect happen once.
type Strength string

const (
	// SQL is where the dedup row commits in the transaction of the handler.
	SQL Strength = "sql"
	// Claimed is where a record in Redis, in memory or in SQL is claimed before
	// the handler and completed after it.
	Claimed Strength = "claimed"
)

// ErrOrder says that a chain was composed in an order that would break a promise.
var ErrOrder = errors.New("wrong order of middlewares")

// orders holds the one right order for each strength. The reasons:
// the dead letter sees what all else could not cure, and alerting what even it
// could not; parking sees what the attempts at once could not, the publishing of
// outputs included; what has expired is not attempted, and one that is parked ends there; a batch that fails goes the way of single messages, all of it, so it
// stands outside of that; a retry outside the
// transaction gives each attempt a fresh one; outputs of the sql strength are
// written in the transaction; outputs of the claimed strength are published
// after the record is complete and before the ack, so they stand outside it;
// one claim covers all attempts; a circuit is asked before each attempt, with no
// transaction open, and outages are recognised where a failing commit is seen too; time-out and recovery end one attempt.
var orders = map[Strength][]Kind{
	SQL:     {KindTrace, KindAlerting, KindDeadLetter, KindPark, KindExpiry, KindBatch, KindRetry, KindCircuit, KindUnavailable, KindTransaction, KindOutputs, KindTimeout, KindRecovery},
	Claimed: {KindTrace, KindAlerting, KindDeadLetter, KindPark, KindExpiry, KindOutputs, KindIdempotency, KindRetry, KindCircuit, KindUnavailable, KindTimeout, KindRecovery},
}

// Compose joins layers, outermost first, into one middleware. It refuses, with
// all problems together, an order that breaks a promise of the strength, a kind
// twice, and a kind that the strength has no place for: the Transaction of one
// and the Idempotency of the other exclude each other.
func Compose(strength Strength, layers ...Layer) (message.HandlerMiddleware, error) {
	order, ok := orders[strength]
	if !ok {
		return nil, fmt.Errorf("strength %q: use %q or %q", strength, SQL, Claimed)
	}
	var errs []error
	outermost, at := -1, Kind("")
	for i, l := range layers {
		if l.Middleware == nil {
			errs = append(errs, fmt.Errorf("layer %d (%s): the middleware is nil", i+1, l.Kind))
		}
		if l.Kind == KindCustom {
			continue
		}
		place := slices.Index(order, l.Kind)
		switch {
		case place < 0:
			errs = append(errs, fmt.Errorf("%w: layer %d: %q has no place in the %s chain", ErrOrder, i+1, l.Kind, strength))
			continue
		case place == outermost:
			errs = append(errs, fmt.Errorf("%w: layer %d: %q stands twice", ErrOrder, i+1, l.Kind))
		case place < outermost:
			errs = append(errs, fmt.Errorf("%w: layer %d: %q must stand outside %q", ErrOrder, i+1, l.Kind, at))
		default:
			outermost, at = place, l.Kind
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		for _, l := range slices.Backward(layers) {
			next = l.Middleware(next)
		}
		return next
	}, nil
}
