package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/event"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// BatchTxStore keeps records in the transaction of the effects of many messages.
type BatchTxStore = idemstore.BatchTxStore

// BatchFunc handles msgs, at least one, in the transaction that ctx carries; see
// Native. ctx ends once those of all its messages have.
type BatchFunc func(ctx context.Context, msgs []*message.Message) error

// Batch returns the middleware that gathers the messages which are handed over
// at the same time and runs fn on many of them in one transaction of runner's,
// which holds their records too. It is inside what counts attempts for nobody
// and outside of a retry and a Transaction: the handler that it wraps is the way
// of a single message.
//
// A message whose transaction commits, or whose effect exists already, is done.
// Of two messages of one key in a batch, the second is a duplicate of the first.
// Where fn returns an error or panics, or the database fails, the whole batch is
// rolled back, and each of its messages goes on to the wrapped handler; so does
// a message at once whose record asks for a decision of its own (another
// delivery is at work, a former one failed, another payload), that has no key or
// that was parked and is handled again.
// A batch that failed is no attempt; UUID, metadata, payload slice and context of its
// messages are then again what they were. A delivery whose context ends while it
// waits for its turn goes on to the wrapped handler too, which then finds the
// context over; once its batch is at work, it waits for the result.
//
// Messages stand in the order in which they came. Those of one batch are
// handled together and those of two batches side by side, so an order by key
// wants a subscriber that hands over one message of a key at a time.
//
// A batch waits for another open transaction that has one of its keys to end.
// The middleware is safe for concurrent use. A goroutine works for each batch,
// and ends before its messages do.
func Batch(runner Runner, store TxStore, fn BatchFunc, cfg TxConfig, gather BatchConfig) (message.HandlerMiddleware, error) {
	cfg, gather = cfg.withDefaults(), gather.withDefaults()
	err := errors.Join(cfg.validate(), gather.validate())
	if fn == nil {
		err = errors.Join(errors.New("fn: is nil"), err)
	}
	batches, ok := store.(BatchTxStore)
	if !ok {
		err = errors.Join(fmt.Errorf("store: a %T cannot claim a batch", store), err)
	}
	if runner == nil {
		err = errors.Join(errors.New("runner: is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		b := &batcher{runner: runner, store: batches, fn: fn, cfg: cfg}
		b.lanes = newLanes(gather, b.work)
		return func(msg *message.Message) ([]*message.Message, error) { return b.handle(next, msg) }
	}, nil
}

type batcher struct {
	runner Runner
	store  BatchTxStore
	fn     BatchFunc
	cfg    TxConfig
	lanes  *lanes
}

// outcome is what a batch has been for one of its messages.
type outcome uint8

const (
	single    outcome = iota // nothing: it goes the way of a single message
	handled                  // its effect is committed
	duplicate                // its effect was there, or is that of another in the batch
)

// member is a message on its way through a batch.
type member struct {
	msg    *message.Message
	ctx    context.Context //nolint:containedctx // the message's own, which other goroutines watch
	claim  Claim
	fact   event.Event
	joined time.Time
	result chan outcome
}

func (b *batcher) handle(next message.HandlerFunc, msg *message.Message) ([]*message.Message, error) {
	d, undo := delivery.Ensure(msg)
	defer undo()
	if _, ok := d.Resumed(); ok {
		return next(msg) // its failure is its own, and counts
	}
	key, err := keyOf(b.cfg.Key, b.cfg.Consumer, b.cfg.Handler, d, msg)
	if err != nil || msg.Context().Err() != nil {
		return next(msg) // which says what is wrong
	}
	d.SetKey(key.ID)
	entry := d.Snapshot(msg)
	m := &member{msg: msg, ctx: msg.Context(), fact: factOf(key, d, msg), result: make(chan outcome, 1)}
	m.claim = Claim{Key: key, Retention: b.cfg.Retention}
	if b.cfg.Fingerprint != nil {
		m.claim.Fingerprint = b.cfg.Fingerprint(msg)
	}
	switch b.await(m) {
	case handled:
		d.Begin(1)
		m.fact.Kind, m.fact.Attempt = event.Handled, 1
	case duplicate:
		d.Replay()
		m.fact.Kind = event.Duplicate
	default:
		// What the batch has made of it was rolled back with the rest.
		msg.UUID, msg.Payload, msg.Metadata = entry.UUID, entry.Payload, entry.Metadata()
		msg.SetContext(m.ctx)
		return next(msg)
	}
	b.cfg.Observe.Emit(m.fact)
	return nil, nil
}

func (b *batcher) await(m *member) outcome {
	b.lanes.join(m)
	select {
	case o := <-m.result:
		return o
	case <-m.ctx.Done():
		if b.lanes.leave(m) {
			return single
		}
		return <-m.result
	}
}

// work takes one batch to its end. A panic is the failure of the batch; a
// Goexit ends the goroutine, and its messages run singly all the same.
func (b *batcher) work(ms []*member) {
	outcomes := make([]outcome, len(ms))
	defer func() {
		for i, m := range ms {
			m.result <- outcomes[i]
		}
	}()
	ctx, stop := together(ms)
	defer stop()
	found, err := b.transact(ctx, ms)
	if err == nil {
		outcomes = found
		return
	}
	if ctx.Err() == nil {
		b.cfg.Observe.Emit(event.Event{Kind: event.Split, Handler: ms[0].fact.Handler, Topic: ms[0].fact.Topic, Err: err})
	}
}

// transact runs the batch in one transaction. After an error, nothing of it is
// there, unless that of a commit hides that all of it is: the records tell.
func (b *batcher) transact(ctx context.Context, ms []*member) (outcomes []outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			outcomes, err = nil, failure.Permanent(fmt.Errorf("batch panicked: %T", p))
		}
	}()
	firsts, first := distinct(ms)
	var recs []Record
	err = b.runner.InTx(ctx, func(ctx context.Context, tx Tx) error {
		claims := make([]Claim, len(firsts))
		for i, m := range firsts {
			claims[i] = m.claim
		}
		if recs, err = b.store.ClaimBatchTx(ctx, tx, claims); err != nil {
			return fmt.Errorf("claim batch: %w", err)
		}
		fresh := make([]*message.Message, 0, len(firsts))
		for i, rec := range recs {
			if rec.Verdict == Won {
				fresh = append(fresh, firsts[i].msg)
			}
		}
		if len(fresh) == 0 {
			return errNothing
		}
		return b.fn(ctx, fresh)
	})
	if err != nil && !errors.Is(err, errNothing) {
		return nil, err
	}
	if len(recs) != len(firsts) {
		return nil, errors.New("run transaction: the runner did not call its function")
	}
	outcomes = make([]outcome, len(ms))
	for i, m := range ms {
		outcomes[i] = outcomeOf(recs[first[i]], m, firsts[first[i]])
	}
	return outcomes, nil
}

// distinct returns the first member of each key, and for each member which of
// them has its key.
func distinct(ms []*member) (firsts []*member, first []int) {
	at := make(map[string]int, len(ms))
	first = make([]int, len(ms))
	for i, m := range ms {
		n, ok := at[m.claim.Key.ID]
		if !ok {
			n = len(firsts)
			at[m.claim.Key.ID] = n
			firsts = append(firsts, m)
		}
		first[i] = n
	}
	return firsts, first
}

func outcomeOf(rec Record, m, first *member) outcome {
	switch {
	case rec.Verdict != Won && rec.Verdict != Finished:
		return single
	case m != first && m.claim.Fingerprint != first.claim.Fingerprint:
		return single // a mismatch, which is told there
	case rec.Verdict == Finished || m != first:
		return duplicate
	default:
		return handled
	}
}

// together returns a context that ends once those of all members have, for a
// message that is given up must not undo the work on the others.
func together(ms []*member) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, m := range ms {
			select {
			case <-m.ctx.Done():
			case <-ctx.Done():
				return
			}
		}
		cancel(context.Cause(ms[len(ms)-1].ctx))
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-ended
	}
}
