package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// flushEvery is how often at most what was emitted is written to the state.
	flushEvery = time.Second
	// patience is how long the state may fail before this replica decides alone.
	patience = 10 * time.Second
	// agendaLimit is how many more rows are looked at in one go.
	agendaLimit = 500
)

// Run tells channels until ctx ends, then what is left for at most Config.Drain,
// and returns nil. Where the state is in the memory of this process, it is told
// before its time then; otherwise what has to wait is left to the other replicas,
// or the next start. It must not run twice at the same time; it may run again.
//
// While Config.State fails for more than 10 s, this replica decides alone, on a
// state in its memory: rather twice than never. A channel's rate then counts for
// it alone.
func (n *Notifier) Run(ctx context.Context) error {
	if !n.start() {
		return ErrRunning
	}
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.running = false
	}()
	var lanes sync.WaitGroup
	for _, l := range n.lanes {
		lanes.Go(func() { l.run(ctx) })
	}
	n.trouble(ctx, n.startWatchdog(ctx, n.plan.cfg.State))
	for ctx.Err() == nil {
		next := n.tick(ctx)
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-n.wake:
		}
		timer.Stop()
	}
	lanes.Wait()
	n.drain(ctx)
	return nil
}

func (n *Notifier) start() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running {
		return false
	}
	n.running, n.flushed = true, time.Time{}
	return true
}

// tick writes what was emitted, gives what is due to the lanes, and returns how
// long to wait.
func (n *Notifier) tick(ctx context.Context) time.Duration {
	wait := n.plan.cfg.Poll
	if left := flushEvery - time.Since(n.flushed); left > 0 {
		wait = min(wait, left) // a wake-up in between is not lost
	} else if n.flush(ctx) {
		n.flushed = time.Now()
	}
	for _, s := range n.states() {
		left, err := n.dispatch(ctx, s)
		n.healthy(ctx, s, err)
		if left > 0 {
			wait = min(wait, left)
		}
	}
	return wait
}

func (n *Notifier) states() []State {
	if n.plan.cfg.State == State(n.local) {
		return []State{n.local}
	}
	return []State{n.plan.cfg.State, n.local}
}

// dispatch gives what is due to the lanes, and returns how long until the next is;
// 0: nobody knows.
func (n *Notifier) dispatch(ctx context.Context, s State) (time.Duration, error) {
	limit := agendaLimit // beyond what a lane has at hand, or one that hangs would hide the rest
	for _, l := range n.lanes {
		limit += l.hand()
	}
	agenda, err := s.Agenda(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("read what alerts are due: %w", err)
	}
	fresh := false
	found := batch{}
	defer func() { // what was found is told, whatever the others' rows say
		for l, list := range found {
			l.push(list)
		}
	}()
	for _, row := range agenda.Rows {
		if row.Kind == KindGroup && !fresh {
			fresh = true
			m, err := n.muting(ctx, s, agenda.Now)
			if err != nil {
				return 0, err
			}
			n.muted.Store(m)
		}
		if err := n.look(ctx, s, row, agenda.Now, found); err != nil {
			return 0, err
		}
	}
	if agenda.Next.IsZero() {
		return 0, nil
	}
	return max(agenda.Next.Sub(agenda.Now), time.Millisecond), nil
}

// look does what is due about a row.
func (n *Notifier) look(ctx context.Context, s State, row Row, now time.Time, found batch) error {
	switch row.Kind {
	case KindSilence:
		err := s.Delete(ctx, row)
		if errors.Is(err, ErrConflict) {
			return nil
		}
		return err
	case KindWatchdog:
		return n.pulse(ctx, s)
	case KindGroup:
	default:
		return nil
	}
	g := &group{}
	if err := json.Unmarshal(row.Data, g); err != nil {
		return s.Delete(ctx, row) // nothing can be made of it
	}
	taken := false
	for _, t := range n.plan.targets(g) {
		if at := n.plan.wake(g, t, now); !at.IsZero() && !at.After(now) {
			o := g.Outlet[t.channel.name]
			l := n.lanes[t.channel.name]
			found[l] = append(found[l], due{item{s, row.ID}, o != nil && o.Deferred})
			taken = true
		}
	}
	if taken {
		return nil
	}
	// It is over, or its due time was meant for channels that are not there.
	return n.changeGroup(ctx, s, row.ID, func(*group, time.Time) bool { return true })
}
