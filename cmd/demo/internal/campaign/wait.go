package campaign

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

// drained waits until nothing is on its way any more, or returns why it stopped
// waiting.
func (r *run) drained(ctx context.Context) error {
	moved, last := time.Now(), -1
	for {
		r.show()
		_, deduplicated, _, ended := r.counts.snapshot()
		if n := deduplicated + sum(ended); n != last {
			moved, last = time.Now(), n
		}
		stalled := time.Since(moved) > stallAfter
		if r.deliveries.Owed() == 0 && (r.quiet() || stalled) {
			idle, err := r.idle(ctx)
			if err == nil && idle && (r.quiet() || r.settled(ctx)) {
				return nil
			}
			if stalled {
				moved = time.Now() // the ledger is not for reading all the time
			}
		}
		if backoff.Wait(ctx, 100*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}

// idle reports whether nothing waits, neither in the outbox nor for a partner.
func (r *run) idle(ctx context.Context) (bool, error) {
	idle, err := r.node.Idle(ctx)
	if err != nil || !idle {
		return false, err
	}
	return r.node.PartnersIdle(ctx)
}

// stallAfter is when the ledger itself is asked whether all is done: a commit
// whose answer was lost is an effect that nobody told of.
const stallAfter = 2 * time.Second

// settled reports whether the ledger says that nothing is left to do.
func (r *run) settled(ctx context.Context) bool {
	facts, err := r.node.Facts(ctx)
	return err == nil && ledger.Check(r.expect(facts)).Lost == 0
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// quiet reports whether, by what the stacks told, every message has ended.
func (r *run) quiet() bool {
	_, _, handled, ended := r.counts.snapshot()
	for _, service := range ledger.Services {
		want := int(r.client.placed.Load())
		if service != ledger.Payment {
			want = handled[ledger.Payment]
		}
		if ended[service] < want {
			return false
		}
	}
	return true
}

// show shows where the run stands.
func (r *run) show() {
	retried, deduplicated, handled, ended := r.counts.snapshot()
	dead := 0
	var b strings.Builder
	for _, service := range ledger.Services {
		fmt.Fprintf(&b, " %s %d", service, handled[service])
		dead += ended[service] - handled[service]
	}
	r.display.Show(time.Now(), fmt.Sprintf("%3.0fs placed %d/%d ·%s · retried %d, deduplicated %d, dead %d",
		time.Since(r.begun).Seconds(), r.client.placed.Load(), r.settings.Orders, b.String(), retried, deduplicated, dead))
}
