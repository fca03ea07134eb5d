package alert_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

// sender records what it accepts, and fails or blocks on demand.
type sender struct {
	mu    sync.Mutex
	sent  []alert.Notification
	at    []time.Time
	tries int
	fail  func(try int) error
	block chan struct{}
}

func (c *sender) Send(ctx context.Context, n alert.Notification) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries++
	if c.block != nil {
		block := c.block
		c.mu.Unlock()
		select {
		case <-block:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if c.fail != nil {
		if err := c.fail(c.tries); err != nil {
			return err
		}
	}
	c.sent, c.at = append(c.sent, n), append(c.at, time.Now())
	return nil
}

func (c *sender) list() []alert.Notification {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

func (c *sender) times() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at)
}

func (c *sender) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tries
}

// set changes how it behaves.
func (c *sender) set(change func(c *sender)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// told is what was accepted, in short.
func (c *sender) told() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, n := range c.sent {
		out = append(out, fmt.Sprintf("%s %s %d", n.Status, n.Name, n.Count))
	}
	return out
}

func (c *sender) want(t *testing.T, want ...string) {
	t.Helper()
	if got := c.told(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("told %q, want %q", got, want)
	}
}

func build(t *testing.T, c alert.Sender, cfg alert.Config) *alert.Notifier {
	t.Helper()
	n, err := alert.New(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func run(t *testing.T, n *alert.Notifier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	synctest.Wait()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func start(t *testing.T, c alert.Sender, cfg alert.Config) (*alert.Notifier, func()) {
	t.Helper()
	n := build(t, c, cfg)
	return n, run(t, n)
}

// pause lets d pass in a bubble, and all that then happens.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	if err := backoff.Wait(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func dead(key string) alert.Alert {
	return alert.Alert{Name: "dead", Handler: "shop/stock", Key: key, Reason: "no stock"}
}

func urgent(name string) alert.Alert { return alert.Alert{Name: name, Severity: alert.Critical} }

func TestTenThousandEqualFailuresAreOneNotification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		for i := range 10_000 {
			n.Emit(dead(fmt.Sprint(i)))
			if i%10 == 9 {
				pause(t, 10*time.Millisecond)
			}
		}
		pause(t, time.Hour)
		c.want(t, "firing dead 10000", "resolved dead 10000")
		got := c.list()[0]
		if len(got.Samples) != alert.MaxSamples || got.Samples[0].Key != "0" || got.Samples[4].Key != "9999" || got.Samples[4].Reason != "no stock" {
			t.Errorf("samples %+v", got.Samples)
		}
		if d := got.Last.Sub(got.First); d < 9*time.Second || d > 10*time.Second || got.New != 10_000 {
			t.Errorf("from first to last %s, new %d", d, got.New)
		}
		if s := n.Stats(); s != (alert.Stats{Sent: 2, Suppressed: 9_999}) {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

func TestThereAreAtMostFiveSamplesTheFirstAndTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		for i := range 12 {
			for k := range i + 1 {
				n.Emit(alert.Alert{Name: fmt.Sprint(i), Key: fmt.Sprint(k)})
				pause(t, time.Second/10)
			}
		}
		pause(t, time.Minute)
		for _, got := range c.list() {
			s := got.Samples
			if len(s) != int(min(got.Count, alert.MaxSamples)) || s[0].Key != "0" || s[len(s)-1].Key != fmt.Sprint(got.Count-1) {
				t.Errorf("of %d: %+v", got.Count, s)
			}
		}
		if len(c.list()) != 12 {
			t.Fatalf("%q", c.told())
		}
		stop()
	})
}

func TestWhatFiresAndResolvesWithinTheGroupWaitIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		n.Emit(dead("1"))
		pause(t, 20*time.Second)
		n.Resolve(dead(""))
		pause(t, 24*time.Hour)
		c.want(t)
		stop()
		c.want(t)
	})
}

func TestAGroupIsToldAfterItsWaitAndWhatIsCriticalAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		n.Emit(dead("1"))
		n.Emit(urgent("down"))
		pause(t, time.Second) // within which what was emitted is looked at
		c.want(t, "firing down 1")
		pause(t, 28*time.Second)
		c.want(t, "firing down 1")
		pause(t, 2*time.Second)
		c.want(t, "firing down 1", "firing dead 1")
		stop()
	})
}

func TestWhatIsResolvedIsToldOnceAndNotBeforeTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		n.Emit(urgent("down"))
		pause(t, time.Minute)
		n.Resolve(urgent("down"))
		n.Resolve(urgent("never was"))
		pause(t, 3*time.Minute+59*time.Second)
		c.want(t, "firing down 1")
		pause(t, time.Second)
		c.want(t, "firing down 1", "resolved down 1")
		pause(t, 24*time.Hour)
		c.want(t, "firing down 1", "resolved down 1")
		stop()
	})
}

func TestEmitNeverBlocksAndWhatFindsNoPlaceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{block: make(chan struct{})}
		n := build(t, c, alert.Config{Buffer: 3, SendTimeout: time.Hour})
		before := time.Now()
		for i := range 10 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i), Count: 2})
			n.Emit(alert.Alert{Name: fmt.Sprint(i), Count: 1})
		}
		if time.Since(before) != 0 {
			t.Fatal("Emit waited")
		}
		if s := n.Stats(); s.Dropped != 21 {
			t.Fatalf("%+v", s)
		}
		stop := run(t, n)
		pause(t, time.Minute) // the channel hangs
		for i := range 3 {
			n.Emit(alert.Alert{Name: fmt.Sprint("later", i)})
		}
		if s := n.Stats(); s.Dropped != 21 || s.Sent != 0 {
			t.Fatalf("%+v", s)
		}
		close(c.block)
		pause(t, time.Minute)
		if s := n.Stats(); s.Sent != 6 {
			t.Fatalf("%+v", s)
		}
		stop()
	})
}

func TestTwoRunsAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stop := start(t, &sender{}, alert.Config{})
		if err := n.Run(t.Context()); !errors.Is(err, alert.ErrRunning) {
			t.Fatal(err)
		}
		stop()
	})
}

func TestEmitIsSafeFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 500 {
					n.Emit(alert.Alert{Name: fmt.Sprint(j % 5), Key: fmt.Sprint(i)})
				}
			})
		}
		wg.Wait()
		stop()
		if s := n.Stats(); s.Sent != 5 || s.Suppressed != 8*500-5 {
			t.Fatalf("%+v", s)
		}
	})
}
