package forwardertest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/batch"
	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/header"
)

// errAway is what a broker that is away answers.
var errAway = errors.New("connection refused")

// delivery is what the broker acknowledged.
type delivery struct {
	topic string
	key   string
	msg   *message.Message
}

// fakeBroker records what it acknowledges.
type fakeBroker struct {
	// answer decides on a message before it is recorded; nil acknowledges all.
	answer func(topic string, m *message.Message) error
	// after runs after messages were recorded and before the caller learns of it.
	after func()

	mu    sync.Mutex
	got   []delivery
	calls int
}

func (b *fakeBroker) one(topic string, m *message.Message) error {
	b.mu.Lock()
	answer := b.answer
	b.calls++
	b.mu.Unlock()
	if answer != nil {
		if err := answer(topic, m); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, delivery{topic: topic, key: m.Metadata.Get(header.Key), msg: m})
	return nil
}

func (b *fakeBroker) setAnswer(f func(string, *message.Message) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

func (b *fakeBroker) deliveries() []delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *fakeBroker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

func (b *fakeBroker) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// plain is the broker as an ordinary Watermill publisher.
type plain struct{ *fakeBroker }

func (p plain) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		if err := p.one(topic, m); err != nil {
			return err
		}
	}
	if p.after != nil {
		p.after()
	}
	return nil
}

func (plain) Close() error { return nil }

// batched is the broker as a publisher of batches that keeps order by key.
type batched struct{ plain }

func newBatched(b *fakeBroker) batched { return batched{plain{b}} }

func (p batched) PublishBatch(_ context.Context, msgs []batch.Outgoing) []error {
	errs := make([]error, len(msgs))
	stuck := map[string]error{}
	for i, m := range msgs {
		key := m.Message.Metadata.Get(header.Key)
		if err := stuck[key]; err != nil {
			errs[i] = err
			continue
		}
		errs[i] = p.one(m.Topic, m.Message)
		if errs[i] != nil && key != "" && !failure.IsPermanent(errs[i]) {
			stuck[key] = errs[i]
		}
	}
	if p.after != nil {
		p.after()
	}
	return errs
}

// forms runs check with the broker in both forms.
func forms(tb testing.TB, check func(tb testing.TB, form func(*fakeBroker) message.Publisher)) {
	tb.Helper()
	check(tb, func(b *fakeBroker) message.Publisher { return plain{b} })
	if !tb.Failed() {
		check(tb, func(b *fakeBroker) message.Publisher { return newBatched(b) })
	}
}

// firsts returns, for each key, the numbers in the order of their first delivery.
func firsts(got []delivery) map[string][]int {
	seen := map[string]bool{}
	out := map[string][]int{}
	for _, d := range got {
		if seen[d.msg.UUID] {
			continue
		}
		seen[d.msg.UUID] = true
		n, err := strconv.Atoi(string(d.msg.Payload))
		if err != nil {
			n = -1
		}
		out[d.key] = append(out[d.key], n)
	}
	return out
}

// inOrder checks that so many keys arrived, each with the numbers 0 to each-1 in
// order.
func inOrder(tb testing.TB, got []delivery, keys, each int) {
	tb.Helper()
	by := firsts(got)
	if len(by) != keys {
		tb.Errorf("%d keys arrived, want %d", len(by), keys)
	}
	for key, numbers := range by {
		if len(numbers) != each {
			tb.Errorf("key %s: %d messages arrived, want %d", key, len(numbers), each)
		}
		for i, n := range numbers {
			if n != i {
				tb.Errorf("key %s: message %d arrived in place %d", key, n, i)
				break
			}
		}
	}
}
