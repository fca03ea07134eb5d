package load

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
)

var errTest = errors.New("wanted")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPercentilesAreThoseOfTheSortedTimes(t *testing.T) {
	var all []time.Duration
	for i := 1000; i > 0; i-- {
		all = append(all, time.Duration(i)*time.Millisecond)
	}
	if got := percentiles(all); got != (Latency{P50: 501, P95: 951, P99: 991, Max: 1000}) {
		t.Errorf("got %+v", got)
	}
	if got := percentiles(nil); got != (Latency{}) {
		t.Errorf("got %+v", got)
	}
	if got := percentiles([]time.Duration{7 * time.Millisecond}); got.P50 != 7 || got.P99 != 7 {
		t.Errorf("got %+v", got)
	}
}

// An order is applied when the last of the three services has handled it.
func TestTheBacklogWaitsForTheSlowestService(t *testing.T) {
	c := &counts{}
	c.placed.Store(3)
	for _, handler := range []string{"x/stock", "x/stock", "x/points", "x/shipping", "x/payment", "x/payment"} {
		c.observe(sluicegate.Event{Kind: sluicegate.Handled, Handler: handler})
	}
	c.observe(sluicegate.Event{Kind: sluicegate.Duplicate, Handler: "x/points"})
	c.observe(sluicegate.Event{Kind: sluicegate.Retried, Handler: "x/points"})
	if c.applied() != 1 || c.backlog() != 2 || c.duplicates.Load() != 1 {
		t.Errorf("%d applied, %d waiting, %d duplicates", c.applied(), c.backlog(), c.duplicates.Load())
	}
}

func TestALoadIsNotExactWhereAnythingIsWrong(t *testing.T) {
	exact := ledger.Report{Orders: 1, Applied: map[string]int{}}
	l := &load{counts: &counts{}}
	if s := l.summary(exact, time.Second, time.Second, 1, 0); !s.Exact() {
		t.Errorf("%v", s.Problems())
	}
	lost := exact
	lost.Lost = 1
	if s := l.summary(lost, time.Second, time.Second, 1, 0); s.Exact() {
		t.Error("a lost order is exact")
	}
	if s := l.summary(exact, time.Second, time.Second, 1, 0, errTest); s.Exact() || len(s.Problems()) != 1 {
		t.Error("a load that failed is exact")
	}
	l.clients = []*client{{failed: 1, lastErr: errTest}}
	if s := l.summary(exact, time.Second, time.Second, 1, 0); s.Exact() || s.Failed != 1 {
		t.Error("a request that failed is exact")
	}
}
