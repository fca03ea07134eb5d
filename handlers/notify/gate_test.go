package notify

import (
	"testing"
	"testing/synctest"
	"time"
)

// What waited for a place counts its rate from when it got it.
func TestARateCountsFromWhenAPlaceIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := Config{}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		g := newGates(cfg, time.Now)
		begun := make(chan time.Time, 3)
		post := func(uid string, takes time.Duration) {
			p, wait, err := g.enter(t.Context(), "slow", uid, options{Concurrency: 2, Rate: 0.2})
			if err != nil || wait > 0 {
				t.Errorf("%s: %v, %v", uid, wait, err)
				return
			}
			begun <- time.Now()
			<-time.After(takes)
			p.leave(good)
		}
		start := time.Now()
		go post("1", time.Minute)
		<-time.After(5 * time.Second)
		go post("2", 2*time.Minute)
		synctest.Wait()
		go post("3", time.Second) // waits for the end of the first
		<-time.After(3 * time.Minute)
		for i, want := range []time.Duration{0, 5 * time.Second, time.Minute} {
			if got := (<-begun).Sub(start); got != want {
				t.Errorf("number %d began after %v, want %v", i+1, got, want)
			}
		}
	})
}

func TestARateHoldsForWhatWaitedForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := Config{}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		g := newGates(cfg, time.Now)
		o := options{Concurrency: 1, Rate: 0.2}
		first, _, err := g.enter(t.Context(), "slow", "1", o)
		if err != nil {
			t.Fatal(err)
		}
		begun := make(chan time.Time, 2)
		post := func(uid string) {
			p, wait, err := g.enter(t.Context(), "slow", uid, o)
			if err != nil || wait > 0 {
				t.Errorf("%s: %v, %v", uid, wait, err)
				return
			}
			begun <- time.Now()
			p.leave(good)
		}
		go post("2")
		<-time.After(time.Minute)
		first.leave(good)
		synctest.Wait()
		go post("3")
		if a, b := <-begun, <-begun; b.Sub(a) < 5*time.Second {
			t.Errorf("two began within %v, 5s is the rate", b.Sub(a))
		}
	})
}
