package alert_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/sqlstate"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// shared returns a state in SQLite on the bubble's clock.
func shared(t *testing.T) alert.State {
	t.Helper()
	s, err := sqlstate.New(sqlitetest.Migrate(t, sqlitetest.Open(t)), sqlstate.Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// breaking is a state whose writes or all of whose calls fail on demand.
type breaking struct {
	alert.State
	writes atomic.Bool
	all    atomic.Bool
	hangs  atomic.Bool
}

func (b *breaking) wait(ctx context.Context) {
	if b.hangs.Load() {
		<-ctx.Done()
	}
}

var errAway = errors.New("database is away")

func (b *breaking) Get(ctx context.Context, kind alert.Kind, id string) (alert.Row, time.Time, error) {
	b.wait(ctx)
	if b.all.Load() {
		return alert.Row{}, time.Time{}, errAway
	}
	return b.State.Get(ctx, kind, id)
}

func (b *breaking) Put(ctx context.Context, row alert.Row) error {
	b.wait(ctx)
	if b.all.Load() || b.writes.Load() {
		return errAway
	}
	return b.State.Put(ctx, row)
}

func (b *breaking) List(ctx context.Context, kind alert.Kind, after string, limit int) ([]alert.Row, error) {
	b.wait(ctx)
	if b.all.Load() {
		return nil, errAway
	}
	return b.State.List(ctx, kind, after, limit)
}

func (b *breaking) Agenda(ctx context.Context, limit int) (alert.Agenda, error) {
	b.wait(ctx)
	if b.all.Load() {
		return alert.Agenda{}, errAway
	}
	return b.State.Agenda(ctx, limit)
}

// busiest returns how many of at lie within one minute at most.
func busiest(at []time.Time) int {
	slices.SortFunc(at, time.Time.Compare)
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= time.Minute {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestTwoReplicasTellOnceAndCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		c := &sender{}
		a, stopA := start(t, c, alert.Config{State: state})
		b, stopB := start(t, c, alert.Config{State: state})
		for i := range 100 {
			a.Emit(dead(fmt.Sprint("a", i)))
			b.Emit(dead(fmt.Sprint("b", i)))
			pause(t, 100*time.Millisecond)
		}
		pause(t, time.Hour)
		c.want(t, "firing dead 200", "resolved dead 200")
		if s, o := a.Stats(), b.Stats(); s.Sent+o.Sent != 2 || s.Suppressed+o.Suppressed != 199 {
			t.Errorf("%+v and %+v", s, o)
		}
		stopA()
		stopB()
	})
}

func TestTwoReplicasNeverExceedAChannelsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		c := &sender{}
		a, stopA := start(t, c, alert.Config{State: state, GroupInterval: time.Minute})
		b, stopB := start(t, c, alert.Config{State: state, GroupInterval: time.Minute})
		for minute := range 5 {
			for i := range 60 {
				a.Emit(urgent(fmt.Sprintf("a-%d-%d", minute, i)))
				b.Emit(urgent(fmt.Sprintf("b-%d-%d", minute, i)))
				pause(t, time.Second)
			}
		}
		pause(t, 10*time.Minute)
		if most := busiest(c.times()); most > 18 || most < 10 {
			t.Fatalf("%d notifications within a minute", most)
		}
		// Nobody is left out: each of the 600 is told by itself or in a digest.
		single, digested, digests := 0, 0, 0
		for _, n := range c.list() {
			if len(n.Digest) > 0 {
				digests++
				digested += len(n.Digest) + n.Omitted
			} else if n.Status == alert.Firing {
				single++
			}
		}
		if single+digested != 600 || digests == 0 || digests > 20 {
			t.Fatalf("%d told singly, %d in %d digests; want 600 in all", single, digested, digests)
		}
		stopA()
		stopB()
	})
}

func TestWhatWasHeldBackIsOneDigestOfAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		until := time.Now().Add(10 * time.Minute)
		c := &sender{fail: func(int) error {
			if time.Now().Before(until) { // both replicas may have begun to send before one was told
				return &alert.SendError{Until: until, Err: errors.New("too fast")}
			}
			return nil
		}}
		a, stopA := start(t, c, alert.Config{State: state})
		b, stopB := start(t, c, alert.Config{State: state})
		for i := range 40 {
			a.Emit(urgent(fmt.Sprint("a", i)))
			b.Emit(urgent(fmt.Sprint("b", i)))
			pause(t, time.Second)
		}
		pause(t, 11*time.Minute)
		c.want(t, "firing "+alert.DigestName+" 80")
		stopA()
		stopB()
	})
}

func TestKilledBetweenSendAndSaveRepeatsAtMostOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		dying := &breaking{State: state}
		c := &sender{}
		c.fail = func(int) error { dying.all.Store(true); return nil } // it was sent, and then the process is gone
		ctx, kill := context.WithCancel(t.Context())
		first := build(t, c, alert.Config{State: dying, Drain: time.Nanosecond})
		ended := make(chan error, 1)
		go func() { ended <- first.Run(ctx) }()
		first.Emit(urgent("down"))
		synctest.Wait()
		c.want(t, "firing down 1")
		c.set(func(c *sender) { c.fail = nil })
		kill()
		<-ended

		n, stop := start(t, c, alert.Config{State: state})
		pause(t, 20*time.Second)
		c.want(t, "firing down 1") // somebody may still be sending
		pause(t, 3*time.Hour)
		c.want(t, "firing down 1", "firing down 1", "resolved down 1")
		if s := n.Stats(); s.Sent != 2 {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

func TestARestartForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := shared(t)
		c := &sender{}
		first, stop := start(t, c, alert.Config{State: state})
		first.Emit(dead("waits"))
		first.Emit(urgent("down"))
		pause(t, time.Second)
		stop() // another replica, or the next start, goes on
		c.want(t, "firing down 1")
		pause(t, 2*time.Hour) // nothing runs
		n, stop := start(t, c, alert.Config{State: state})
		pause(t, time.Second)
		// What was never told is told though it is quiet by now, what was is over.
		got := c.told()
		slices.Sort(got)
		if fmt.Sprint(got) != "[firing dead 1 firing down 1 resolved down 1]" {
			t.Fatalf("%q", got)
		}
		n.Emit(urgent("down"))
		pause(t, time.Second)
		if len(c.list()) != 4 {
			t.Fatalf("%q", c.told())
		}
		stop()
	})
}

func TestAStateThatFailsToSaveIsWrittenAsSoonAsItWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := &breaking{State: shared(t)}
		c := &sender{}
		c.fail = func(int) error { state.writes.Store(true); return nil }
		n, stop := start(t, c, alert.Config{State: state})
		n.Emit(urgent("down"))
		pause(t, 10*time.Second)
		state.writes.Store(false)
		pause(t, 2*time.Minute)
		c.want(t, "firing down 1")
		stop()
	})
}

func TestWhileTheStateIsAwayEachReplicaTellsByItself(t *testing.T) {
	for _, how := range []string{"refuses", "hangs"} {
		t.Run(how, func(t *testing.T) { withoutState(t, how == "hangs") })
	}
}

func withoutState(t *testing.T, hangs bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		state := &breaking{State: shared(t)}
		c := &sender{}
		n, stop := start(t, c, alert.Config{State: state})
		if _, err := n.Silence(t.Context(), alert.Silence{Match: []string{"name=silenced"}, Until: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		n.Emit(urgent("silenced"))
		pause(t, time.Second)
		state.all.Store(true)
		state.hangs.Store(hangs)
		n.Emit(urgent("silenced"))
		n.Emit(urgent("database down"))
		pause(t, 5*time.Second)
		c.want(t) // it may come back at once
		pause(t, 40*time.Second)
		c.want(t, "firing database down 1")
		state.all.Store(false)
		state.hangs.Store(false)
		pause(t, time.Minute)
		n.Resolve(urgent("database down"))
		n.Emit(urgent("other"))
		pause(t, 5*time.Minute)
		c.want(t, "firing database down 1", "firing other 1", "resolved database down 1")
		stop()
	})
}
