package outage_test

import (
	"context"
	"os"
	"testing"
	"time"
)

// outageVariable is for how long Kafka is away under load, in place of defaultOutage.
const (
	outageVariable = "SLUICEGATE_TEST_OUTAGE"
	defaultOutage  = 20 * time.Second
)

const (
	loadRate = 200             // messages a second
	before   = 5 * time.Second // of load with the broker there
	after    = 5 * time.Second // and when it is back
	// catchUp bounds how long what has come meanwhile takes: the relay's longest wait for a
	// broker that is away (RetryMax, 15 s), Kafka's own start, and the rest at relay speed.
	catchUp = 90 * time.Second
	// handling is what the services may take for each of what has come meanwhile, in addition.
	handling = 2 * time.Millisecond
	// relaySpeed is the least rate at which the relay empties what has come meanwhile, if that is enough to
	// measure: ten times that of the load, and a tenth of what it does alone on this kind of machine.
	relaySpeed = 10_000
)

// TestABrokerThatIsAwayForLongCostsNothing stops a real Kafka under load. Messages go on being
// committed; some of them fail in their handlers more often than the attempts at once and are parked, with later ones of
// their key behind them.
func TestABrokerThatIsAwayForLongCostsNothing(t *testing.T) {
	outage := defaultOutage
	if text := os.Getenv(outageVariable); text != "" {
		var err error
		if outage, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", outageVariable, err)
		}
	}
	p := openPlace(t)
	kafka := startKafka(t)
	relay, done := p.relay(t, kafka.Addr)
	defer done()
	defer p.consume(t, kafka.Addr)()
	w := p.load(t)

	w.during(t, before)
	eventually(t, 20*time.Second, "the first messages arrive", func() bool { return p.applied(t) > 0 })
	must(t, kafka.Stop())
	began := time.Now()
	w.during(t, outage)
	if n := relay.Stats(); n.Failed != 0 || n.Retried != 0 || n.Parked != 0 {
		t.Errorf("attempts were spent on a broker that was away: %+v", n)
	}
	waiting := p.count(t, "SELECT COUNT(*) FROM "+p.table("outbox"))
	must(t, kafka.Start(context.Background()))
	away := time.Since(began)
	back := p.catchUp(t, waiting)
	t.Logf("away for %v at %d messages/s; %d waited; the first left %v after the broker was back, all of them %v later, %.0f/s",
		away.Round(time.Second), loadRate, waiting, back.first.Round(time.Millisecond), back.all.Round(time.Millisecond), back.rate)
	w.during(t, after)
	committed := w.stop()
	began = time.Now()
	defer func() {
		if t.Failed() {
			p.describe(t, committed)
		}
	}()
	every(t, 500*time.Millisecond, catchUp+time.Duration(waiting)*handling, "everything is applied by both services", func() bool { return p.applied(t) >= 2*committed })
	t.Logf("the last of %d was applied %v after the load had ended", committed, time.Since(began).Round(time.Millisecond))
	p.check(t, committed)
	if back.measured && back.rate < relaySpeed {
		t.Errorf("the relay caught up at %.0f/s, want at least %d", back.rate, relaySpeed)
	}
}
