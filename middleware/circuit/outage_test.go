package circuit_test

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/circuit"
)

// world is a dependency that is away for a while, and the messages that want it.
type world struct {
	start, end time.Time // of the outage

	mu     sync.Mutex
	calls  int // while it was away
	after  int // once it was back
	spent  map[string]int
	landed map[string]time.Time
}

func (w *world) handler(uuid string, hangs bool) error {
	now := time.Now()
	away := !now.Before(w.start) && now.Before(w.end)
	w.mu.Lock()
	if away {
		w.calls++
	} else {
		w.after++
	}
	w.mu.Unlock()
	switch {
	case !away:
		after(10 * time.Millisecond)
		w.mu.Lock()
		w.landed[uuid] = time.Now()
		w.mu.Unlock()
		return nil
	case hangs:
		after(30 * time.Second)
		w.mu.Lock()
		w.spent[uuid]++
		w.mu.Unlock()
		return failure.ErrTimeout
	default:
		return failure.Unavailable(errBoom)
	}
}

// consume has workers that take messages off a queue and put those back that
// did not land, as a broker or parking does, until all have landed.
func consume(r *rig, messages, workers int) {
	queue := make(chan string, messages)
	for i := range messages {
		queue <- "order-" + strconv.Itoa(i)
	}
	var all, left sync.WaitGroup
	left.Add(messages)
	stop := make(chan struct{})
	for range workers {
		all.Go(func() {
			for {
				select {
				case uuid := <-queue:
					if r.deliver(uuid) == nil {
						left.Done()
					} else {
						queue <- uuid
					}
				case <-stop:
					return
				}
			}
		})
	}
	left.Wait()
	close(stop)
	all.Wait()
}

func TestAnOutageOfTwoHoursCostsFewCallsAndEndsByItself(t *testing.T) {
	for name, hangs := range map[string]bool{"refused": false, "hanging": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const messages, workers = 5000, 20
				w := &world{start: time.Now().Add(time.Second), spent: map[string]int{}, landed: map[string]time.Time{}}
				w.end = w.start.Add(2 * time.Hour)
				r := newRig(t, circuit.Config{}, func(msg *message.Message) error { return w.handler(msg.UUID, hangs) })
				consume(r, messages, workers)
				took := time.Since(w.end)
				if len(w.landed) != messages || w.after != messages {
					t.Fatalf("%d landed, of %d calls while it was there", len(w.landed), w.after)
				}
				// 7200 s in pauses of 45 s on average, and those at work when it began.
				if w.calls > 200+workers {
					t.Errorf("%d calls while it was away", w.calls)
				}
				if most := time.Duration(messages/workers)*10*time.Millisecond + 2*circuit.DefaultMaxPause; took > most {
					t.Errorf("the last message landed %s after the outage, want %s at most", took, most)
				}
				for uuid, n := range w.spent {
					if n > 3 {
						t.Errorf("%s has spent %d attempts: probes do not take turns", uuid, n)
					}
				}
				r.want(circuit.Closed)
				t.Logf("%d calls in two hours; the last message landed %s after them", w.calls, took)
			})
		})
	}
}

func TestReplicasAreIndependentAndDoNotProbeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := circuit.Config{MaxWait: time.Hour}
		away := true
		var mu sync.Mutex
		at := map[time.Duration]int{}
		start := time.Now()
		var rigs []*rig
		for range 8 {
			r := newRig(t, cfg, nil)
			r.do = func(*message.Message) error {
				mu.Lock()
				defer mu.Unlock()
				if away {
					at[time.Since(start).Truncate(100*time.Millisecond)]++
					return errBoom
				}
				return nil
			}
			rigs = append(rigs, r)
		}
		rigs[0].open(cfg)
		for _, r := range rigs[1:] {
			if all := r.c.Snapshot(); len(all) != 0 {
				t.Fatalf("another replica's circuit: %+v", all)
			}
			r.open(cfg)
		}
		var all sync.WaitGroup
		for _, r := range rigs {
			for i := range 20 {
				all.Go(func() {
					for r.deliver(strconv.Itoa(i)) != nil {
					}
				})
			}
		}
		after(10 * time.Minute)
		mu.Lock()
		away = false
		probes, most := 0, 0
		for _, n := range at {
			probes, most = probes+n, max(most, n)
		}
		mu.Unlock()
		all.Wait()
		if probes < 80 || probes > 8*25 || most > 6 {
			t.Errorf("%d probes of eight replicas in ten minutes, up to %d at a time", probes, most)
		}
		for _, r := range rigs {
			r.want(circuit.Closed)
		}
	})
}

// Poison in an open circuit is a probe no more often than it must, and does not
// keep the others from being handled.
func TestPoisonDoesNotKeepAnOpenCircuitFromClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{start: time.Now(), end: time.Now().Add(time.Minute), spent: map[string]int{}, landed: map[string]time.Time{}}
		var poisoned atomic.Int64
		r := newRig(t, circuit.Config{}, nil)
		r.do = func(msg *message.Message) error {
			if msg.UUID == "poison" {
				after(30 * time.Second)
				poisoned.Add(1)
				return fmt.Errorf("%w: %w", failure.ErrTimeout, errBoom)
			}
			return w.handler(msg.UUID, false)
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					if err := r.deliver("poison"); !refused(err) && !errors.Is(err, failure.ErrTimeout) {
						t.Error(err)
					}
				}
			}
		}()
		consume(r, 100, 10)
		late := time.Since(w.end)
		for poisoned.Load() < 50 { // it goes on to its end, and stops nobody
			after(time.Minute)
			if err := r.deliver("good"); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		<-stopped
		if late > 3*circuit.DefaultMaxPause {
			t.Errorf("the others landed %s after the outage", late)
		}
		r.want(circuit.Closed)
	})
}
