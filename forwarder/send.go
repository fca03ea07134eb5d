package forwarder

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
)

var (
	// errNotTried: the message was not handed to the publisher this time.
	errNotTried = errors.New("not tried")
	// errInFlight: the publisher was given the message and has not answered.
	errInFlight = errors.New("still in flight")
)

// answer is what became of a call that had not returned at its deadline.
type answer struct {
	rec   *record
	fence int64
	err   error
}

// send publishes records and returns one error each, nil where the broker has
// acknowledged. It returns when ctx ends at the latest.
func (l *lane) send(ctx context.Context, records []*record, fences map[int]int64) []error {
	if p, ok := l.relay.pub.(batch.Publisher); ok {
		return l.sendBatch(ctx, p, records)
	}
	return l.sendEach(ctx, records, fences)
}

func (l *lane) sendBatch(ctx context.Context, p batch.Publisher, records []*record) []error {
	out := make([]batch.Outgoing, len(records))
	for i, m := range records {
		out[i] = batch.Outgoing{Topic: m.topic, Message: m.outgoing(ctx)}
	}
	errs := publishBatch(ctx, p, out)
	if errs == nil {
		return make([]error, len(records))
	}
	if len(errs) != len(records) {
		// Without knowing which is which, nothing may be taken for acknowledged.
		err := fmt.Errorf("publisher returned %d results for %d messages", len(errs), len(records))
		errs = make([]error, len(records))
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

func publishBatch(ctx context.Context, p batch.Publisher, out []batch.Outgoing) (errs []error) {
	defer func() {
		if v := recover(); v != nil {
			// An empty result fits no batch and so says nothing about any message.
			errs = []error{}
		}
	}()
	return p.PublishBatch(ctx, out)
}

// sendEach publishes over a publisher that has no batches: each key on its own,
// one message of it after the other, several keys at once. A message whose key
// has failed is not tried. A call that has not returned when ctx ends is
// answered to l.answers later, and keeps its place among the concurrent ones.
func (l *lane) sendEach(ctx context.Context, records []*record, fences map[int]int64) []error {
	type result struct {
		index int
		err   error
	}
	var order []block
	queues := map[block][]int{}
	errs := make([]error, len(records))
	for i, m := range records {
		errs[i] = errNotTried
		b := m.block()
		if _, ok := queues[b]; !ok {
			order = append(order, b)
		}
		queues[b] = append(queues[b], i)
	}
	results := make(chan result, len(records))
	var mu sync.Mutex
	gone := false // nobody reads results any more
	started := make([]bool, len(records))
	work := func(queue []int) {
		for _, i := range queue {
			mu.Lock()
			if gone || ctx.Err() != nil {
				mu.Unlock()
				return
			}
			started[i] = true
			mu.Unlock()
			err := publishOne(l.relay.pub, records[i].topic, records[i].outgoing(ctx))
			mu.Lock()
			late := gone
			if !late {
				results <- result{i, err}
			}
			mu.Unlock()
			if late {
				l.answered(answer{rec: records[i], fence: fences[records[i].shard], err: err})
			}
			if err != nil {
				return
			}
		}
	}
	finished := l.spread(ctx, order, func(b block) { work(queues[b]) })
	select {
	case <-finished:
	case <-ctx.Done():
	}
	mu.Lock()
	defer mu.Unlock()
	gone = true
	for i, ok := range started {
		if ok {
			errs[i] = errInFlight
		}
	}
	for len(results) > 0 {
		r := <-results
		errs[r.index] = r.err
	}
	return errs
}

// spread runs fn for each block, Concurrency at once, and returns a channel that
// is closed when all have returned. It starts nothing new after ctx has ended.
func (l *lane) spread(ctx context.Context, blocks []block, fn func(block)) <-chan struct{} {
	finished := make(chan struct{})
	l.relay.calls.Go(func() {
		defer close(finished)
		var wg sync.WaitGroup
		defer wg.Wait()
		for _, b := range blocks {
			select {
			case l.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-l.slots }()
				fn(b)
			})
		}
	})
	return finished
}

func publishOne(pub message.Publisher, topic string, msg *message.Message) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("publisher panicked with a %T", v)
		}
	}()
	return pub.Publish(topic, msg)
}

// answered takes the late answer of a call and wakes the lane.
func (l *lane) answered(a answer) {
	l.mu.Lock()
	l.answers = append(l.answers, a)
	l.mu.Unlock()
	l.poke()
}

func (l *lane) takeAnswers() []answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.answers
	l.answers = nil
	return a
}
