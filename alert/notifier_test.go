package alert_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

// channel records what it accepts, and fails or blocks on demand.
type channel struct {
	mu    sync.Mutex
	sent  []alert.Alert
	at    []time.Time
	tries int
	fail  func(try int) error
	block chan struct{}
}

func (c *channel) Send(ctx context.Context, a alert.Alert) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tries++
	if c.block != nil {
		c.mu.Unlock()
		select {
		case <-c.block:
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
	c.sent, c.at = append(c.sent, a), append(c.at, time.Now())
	return nil
}

func start(t *testing.T, c alert.Channel, cfg alert.Config) (*alert.Notifier, func()) {
	t.Helper()
	n, err := alert.New(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return n, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// pause lets d pass in a bubble, and all that then happens.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	if err := backoff.Wait(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func dead(key string) alert.Alert { return alert.Alert{Name: "dead", Handler: "shop/stock", Key: key} }

func TestAPersonIsToldOnceAndAgainWithTheCountAfterRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{}
		n, stop := start(t, c, alert.Config{})
		n.Emit(dead("1"))
		synctest.Wait()
		for i := range 99 {
			n.Emit(dead(fmt.Sprint(i)))
		}
		pause(t, 4*time.Hour-time.Second)
		n.Emit(dead("suppressed"))
		synctest.Wait()
		if len(c.sent) != 1 || c.sent[0].Count != 1 || c.sent[0].Severity != alert.Warning || c.sent[0].At.IsZero() {
			t.Fatalf("sent %+v", c.sent)
		}
		pause(t, time.Second)
		n.Emit(dead("last"))
		synctest.Wait()
		if len(c.sent) != 2 || c.sent[1].Count != 101 || c.sent[1].Key != "last" {
			t.Fatalf("sent %+v", c.sent)
		}
		if s := n.Stats(); s != (alert.Stats{Sent: 2, Suppressed: 100}) {
			t.Fatalf("%+v", s)
		}
		stop()
	})
}

func TestDifferentFingerprintsAreSentEachAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{}
		n, stop := start(t, c, alert.Config{})
		for i := range 10 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i)})
		}
		synctest.Wait()
		for i, a := range c.sent {
			if a.Name != fmt.Sprint(i) {
				t.Fatalf("%d: %+v", i, a)
			}
		}
		if len(c.sent) != 10 {
			t.Fatalf("%d sent", len(c.sent))
		}
		stop()
	})
}

func TestEmitNeverBlocksAndWhatFindsNoPlaceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{block: make(chan struct{})}
		n, stop := start(t, c, alert.Config{Buffer: 3, SendTimeout: time.Hour})
		before := time.Now()
		for i := range 10 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i), Count: 2})
		}
		if time.Since(before) != 0 {
			t.Fatal("Emit waited for the channel")
		}
		if s := n.Stats(); s.Dropped != 14 || s.Sent != 0 {
			t.Fatalf("%+v", s)
		}
		close(c.block)
		synctest.Wait()
		// Those that are remembered make room once their repeat time is over.
		pause(t, 5*time.Hour)
		n.Emit(alert.Alert{Name: "new"})
		synctest.Wait()
		if s := n.Stats(); s.Sent != 4 || s.Dropped != 14 {
			t.Fatalf("%+v", s)
		}
		stop()
	})
}

func TestWhatComesWhileItsLikeIsBeingSentIsCountedForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{block: make(chan struct{})}
		n, stop := start(t, c, alert.Config{Repeat: time.Minute, SendTimeout: time.Hour})
		n.Emit(dead("1"))
		synctest.Wait() // the channel holds it
		n.Emit(dead("2"))
		close(c.block)
		synctest.Wait()
		pause(t, time.Minute)
		n.Emit(dead("3"))
		synctest.Wait()
		if len(c.sent) != 2 || c.sent[0].Count != 1 || c.sent[1].Count != 2 {
			t.Fatalf("%+v", c.sent)
		}
		stop()
	})
}

func TestAFailingChannelIsTriedAgainAfterGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{fail: func(try int) error {
			if try < 4 {
				return errors.New("no route")
			}
			return nil
		}}
		n, stop := start(t, c, alert.Config{})
		begun := time.Now()
		n.Emit(dead("1"))
		pause(t, time.Minute)
		if len(c.at) != 1 || c.at[0].Sub(begun) != 7*time.Second { // 1 + 2 + 4
			t.Fatalf("%v", c.at)
		}
		stop()
	})
}

func TestAnAlertThatTheChannelRefusesIsGivenUpAndBlocksNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{fail: func(try int) error {
			if try <= 2 {
				return errors.New("bad request")
			}
			return nil
		}}
		n, stop := start(t, c, alert.Config{MaxAttempts: 2})
		n.Emit(alert.Alert{Name: "refused"})
		n.Emit(alert.Alert{Name: "next"})
		pause(t, time.Minute)
		n.Emit(alert.Alert{Name: "refused"}) // within Repeat, but nobody was told
		synctest.Wait()
		if len(c.sent) != 2 || c.sent[0].Name != "next" || c.sent[1].Name != "refused" || c.sent[1].Count != 2 {
			t.Fatalf("%+v", c.sent)
		}
		if s := n.Stats(); s != (alert.Stats{Sent: 2, Failed: 1}) {
			t.Fatalf("%+v", s)
		}
		stop()
	})
}

func TestStoppingDrainsWhatIsLeftWithinItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{}
		n, err := alert.New(c, alert.Config{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			n.Emit(alert.Alert{Name: fmt.Sprint(i)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := n.Run(ctx); err != nil || len(c.sent) != 5 {
			t.Fatalf("%d sent, %v", len(c.sent), err)
		}

		c.block = make(chan struct{}) // and now it hangs
		n.Emit(alert.Alert{Name: "hangs"})
		n.Emit(alert.Alert{Name: "too"})
		begun := time.Now()
		if err := n.Run(ctx); err != nil || time.Since(begun) != 5*time.Second {
			t.Fatalf("%v after %s", err, time.Since(begun))
		}
		if s := n.Stats(); s.Sent != 5 || s.Failed != 2 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestStoppingInterruptsASendAndAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &channel{fail: func(try int) error {
			if try == 1 {
				return errors.New("no route")
			}
			return nil
		}}
		n, stop := start(t, c, alert.Config{})
		begun := time.Now()
		n.Emit(dead("1"))
		synctest.Wait() // in its pause
		stop()
		if len(c.sent) != 1 || time.Since(begun) != 0 {
			t.Fatalf("%d sent after %s", len(c.sent), time.Since(begun))
		}
	})
}

func TestTwoRunsAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, stop := start(t, &channel{}, alert.Config{})
		synctest.Wait()
		if err := n.Run(t.Context()); !errors.Is(err, alert.ErrRunning) {
			t.Fatal(err)
		}
		stop()
	})
}

func TestEmitIsSafeFromManyGoroutines(t *testing.T) {
	c := &channel{}
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
}

func TestInvalidValuesAreReportedTogetherByField(t *testing.T) {
	_, err := alert.New(nil, alert.Config{Repeat: -1, Buffer: -1, SendTimeout: -1, MaxAttempts: -1, Drain: -1})
	for _, field := range []string{"channel", "Config.Repeat", "Config.Buffer", "Config.SendTimeout", "Config.MaxAttempts", "Config.Drain"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
}
