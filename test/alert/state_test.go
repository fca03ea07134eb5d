package alert_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/sqlstate"
	"github.com/sluicegate/sluicegate/alert/statetest"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestTheStateConforms(t *testing.T) {
	place.Each(t, func(t *testing.T, db *place.Database) {
		t.Helper()
		statetest.Run(t, statetest.Harness{New: func(t *testing.T) statetest.Fixture {
			t.Helper()
			db.Do(t, "DELETE FROM "+db.Table(schema.Alert))
			var passed atomic.Int64
			s, err := sqlstate.New(db.DB, sqlstate.Config{Prefix: db.Prefix, Now: func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }})
			place.Must(t, err)
			return statetest.Fixture{State: s, Advance: func(d time.Duration) { passed.Add(int64(d)) }}
		}})
	})
}

func TestTheClockIsTheDatabases(t *testing.T) {
	place.Each(t, func(t *testing.T, db *place.Database) {
		t.Helper()
		s, err := sqlstate.New(db.DB, sqlstate.Config{Prefix: db.Prefix})
		place.Must(t, err)
		_, now, err := s.Get(t.Context(), alert.KindGroup, "none")
		place.Must(t, err)
		a, err := s.Agenda(t.Context(), 1)
		place.Must(t, err)
		if d := a.Now.Sub(now); time.Since(now).Abs() > time.Minute || d < 0 || d > time.Minute {
			t.Fatalf("%s, then %s", now, a.Now)
		}
	})
}

// counter counts what is sent by all replicas.
type counter struct {
	mu     sync.Mutex
	byName map[string]int
	sent   int
}

func (c *counter) Send(_ context.Context, n alert.Notification) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[n.Name]++
	c.sent++
	return nil
}

func TestReplicasTellOnceAndKeepTheRateTogether(t *testing.T) {
	const replicas, groups, each, rate = 4, 30, 25, 8
	place.Each(t, func(t *testing.T, db *place.Database) {
		t.Helper()
		s, err := sqlstate.New(db.DB, sqlstate.Config{Prefix: db.Prefix})
		place.Must(t, err)
		c := &counter{byName: map[string]int{}}
		ctx, stop := context.WithCancel(t.Context())
		var running, emitting sync.WaitGroup
		for range replicas {
			n, err := alert.New(c, alert.Config{State: s, Rate: rate, Drain: time.Second})
			place.Must(t, err)
			running.Go(func() { place.Must(t, n.Run(ctx)) })
			emitting.Go(func() {
				for i := range each * groups {
					n.Emit(alert.Alert{Name: fmt.Sprint("down", i%groups), Severity: alert.Critical})
				}
			})
		}
		emitting.Wait()
		n, err := alert.New(c, alert.Config{State: s})
		place.Must(t, err)
		recorded := func() (groups int, count int64) {
			active, err := n.Active(t.Context())
			place.Must(t, err)
			for _, a := range active {
				count += a.Count
			}
			return len(active), count
		}
		limit, tick := time.NewTimer(30*time.Second), time.NewTicker(100*time.Millisecond)
		defer limit.Stop()
		defer tick.Stop()
		still := 0 // how often there was nothing more to come
		for still < 10 {
			select {
			case <-tick.C:
			case <-limit.C:
				still = 10
			}
			if g, count := recorded(); g == groups && count == replicas*each*groups {
				still++
			}
		}
		if g, count := recorded(); g != groups || count != replicas*each*groups {
			t.Errorf("%d groups of %d occurrences, want %d of %d", g, count, groups, replicas*each*groups)
		}
		c.mu.Lock()
		if c.sent != rate {
			t.Errorf("%d notifications in the first minute, want %d", c.sent, rate)
		}
		for name, n := range c.byName {
			if n > 1 {
				t.Errorf("%s was told %d times", name, n)
			}
		}
		c.mu.Unlock()
		stop()
		running.Wait()
	})
}
