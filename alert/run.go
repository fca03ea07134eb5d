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
	// agendaLimit is how many rows are looked at in one go.
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

// flush writes what was emitted, and reports whether there was anything.
func (n *Notifier) flush(ctx context.Context) bool {
	list := n.pending.take()
	for i, o := range list {
		err := n.record(ctx, n.plan.cfg.State, o)
		n.healthy(ctx, n.plan.cfg.State, err)
		if err == nil {
			if o.count == 0 && n.alone() { // it may have been told from here
				_ = n.record(ctx, n.local, o)
			}
			continue
		}
		if n.away() && n.record(ctx, n.local, o) == nil {
			continue
		}
		for _, o := range list[i:] {
			n.pending.putBack(o)
		}
		break
	}
	return len(list) > 0
}

// alone reports whether there is a state of this replica beside the shared one.
func (n *Notifier) alone() bool { return n.plan.cfg.State != State(n.local) }

// record writes an occurrence into its group.
func (n *Notifier) record(ctx context.Context, s State, o *occurrence) error {
	var counted int64
	var began bool
	local := time.Now()
	err := n.changeGroup(ctx, s, o.group, func(g *group, now time.Time) bool {
		if o.count == 0 && len(g.Members) == 0 {
			return false
		}
		counted, began = n.plan.merge(g, o.shifted(now.Sub(local)), now)
		return true
	})
	if err == nil && counted > 0 {
		n.count(func(s *Stats) {
			if began {
				counted--
			}
			s.Suppressed += counted
		})
	}
	return err
}

// shifted returns o with its times by the state's clock.
func (o *occurrence) shifted(by time.Duration) *occurrence {
	c := *o
	c.first, c.last = o.first.Add(by), o.last.Add(by)
	if !o.over.IsZero() {
		c.over = o.over.Add(by)
	}
	c.samples = make([]Sample, len(o.samples))
	for i, s := range o.samples {
		s.At = s.At.Add(by)
		c.samples[i] = s
	}
	return &c
}

// dispatch gives what is due to the lanes, and returns how long until the next is;
// 0: nobody knows.
func (n *Notifier) dispatch(ctx context.Context, s State) (time.Duration, error) {
	agenda, err := s.Agenda(ctx, agendaLimit)
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

// healthy keeps account of whether the state works.
func (n *Notifier) healthy(ctx context.Context, s State, err error) {
	if ctx.Err() != nil || s != n.plan.cfg.State {
		return
	}
	n.mu.Lock()
	was := n.awaySince
	switch {
	case err == nil || errors.Is(err, ErrConflict):
		n.awaySince = time.Time{}
	case was.IsZero():
		n.awaySince = time.Now()
	}
	n.mu.Unlock()
	switch {
	case err != nil && was.IsZero():
		n.plan.cfg.Logger.Error("alert state is away", "error", err)
	case err == nil && !was.IsZero():
		n.plan.cfg.Logger.Info("alert state is back", "away", time.Since(was).Round(time.Second))
	}
}

func (n *Notifier) away() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.alone() && !n.awaySince.IsZero() && time.Since(n.awaySince) >= patience
}

// trouble notes that something in the state did not work; it is tried again.
func (n *Notifier) trouble(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		n.plan.cfg.Logger.Warn("alert state failed", "error", err)
	}
}

// drain tells what is left, once.
func (n *Notifier) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.plan.cfg.Drain)
	defer cancel()
	n.flush(ctx)
	for _, o := range n.pending.take() { // the state did not take it
		n.trouble(ctx, n.record(ctx, n.local, o))
	}
	for _, s := range n.states() {
		_, err := n.dispatch(ctx, s)
		n.trouble(ctx, err)
	}
	n.hurry(ctx)
	var lanes sync.WaitGroup
	for _, l := range n.lanes {
		lanes.Go(func() { l.work(ctx, true) })
	}
	lanes.Wait()
}

// hurry gives the lanes all that only this process knows, due or not.
func (n *Notifier) hurry(ctx context.Context) {
	rows, err := all(ctx, n.local, KindGroup)
	n.trouble(ctx, err)
	found := batch{}
	for _, row := range rows {
		g := &group{}
		if json.Unmarshal(row.Data, g) != nil {
			continue
		}
		now := time.Now()
		for _, t := range n.plan.targets(g) {
			if l := n.lanes[t.channel.name]; t.from.IsZero() && n.plan.why(g, t, now) != nothing {
				found[l] = append(found[l], due{item: item{n.local, row.ID}})
			}
		}
	}
	for l, list := range found {
		many := !l.channel.Unlimited && len(list) > l.channel.Rate // one digest, rather than a part of them
		for i := range list {
			list[i].deferred = many
		}
		l.push(list)
	}
}
