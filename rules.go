package sluicegate

import (
	"context"
	"database/sql"

	"github.com/sluicegate/sluicegate/alert/rule"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/middleware/circuit"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
)

// Rules returns the ready-made alert rules whose gauges the Stack has, for rule.New, and
// those of the relays that run in this process:
//
//	engine, err := rule.New(notifier, stack.Rules(relay), rule.Config{})
//	go engine.Run(ctx)
//
// They are the lag and the backlog of the outbox, dead letters that grow in number, circuits
// that are open, leases that were lost, and, for relays, a broker or a database that is away. The first three
// ask the database; replicas that share an alert state fire as one. Fields can be changed
// before they are given to rule.New. rule.Inhibitions, in alert.Config, keep back what follows from
// something that is down.
func (s *Stack) Rules(relays ...*forwarder.Relay) []rule.Rule { return Rules([]*Stack{s}, relays...) }

// Rules is Stack.Rules for a process with several: one rule of each kind, over all of them. Tables
// that Stacks share count once; the lag is that of the outbox that is furthest behind.
func Rules(stacks []*Stack, relays ...*forwarder.Relay) []rule.Rule {
	g := gaugesOf(stacks, relays)
	var rules []rule.Rule
	if len(g.boxes) > 0 {
		rules = append(rules, rule.OutboxLag(g.lag), rule.OutboxBacklog(g.backlog))
	}
	if len(g.letters) > 0 {
		rules = append(rules, rule.DeadLettersGrow(g.dead))
	}
	if g.circuits {
		rules = append(rules, rule.CircuitOpen(g.open))
	}
	rules = append(rules, rule.LeaseLost(g.lost))
	if len(relays) > 0 {
		rules = append(rules,
			rule.BrokerDown(away(relays, func(st forwarder.RelayStats) bool { return !st.BrokerAwaySince.IsZero() })),
			rule.DatabaseDown(away(relays, func(st forwarder.RelayStats) bool { return !st.DatabaseAwaySince.IsZero() })))
	}
	return rules
}

// gauges measure stacks and relays.
type gauges struct {
	stacks   []*Stack
	relays   []*forwarder.Relay
	boxes    []*forwarder.Outbox    // one for each set of tables
	letters  []*deadletter.SQLStore // the same
	circuits bool                   // some stack has them
}

func gaugesOf(stacks []*Stack, relays []*forwarder.Relay) *gauges {
	type tables struct {
		db             *sql.DB
		schema, prefix string
	}
	g := &gauges{stacks: stacks, relays: relays}
	boxes, letters := map[tables]bool{}, map[tables]bool{}
	for _, s := range stacks {
		t := tables{s.db, s.cfg.Schema, s.cfg.Prefix}
		if s.box != nil && !boxes[t] {
			boxes[t] = true
			g.boxes = append(g.boxes, s.box)
		}
		if s.stored != nil && !letters[t] {
			letters[t] = true
			g.letters = append(g.letters, s.stored)
		}
		g.circuits = g.circuits || s.circuits != nil
	}
	return g
}

func (g *gauges) lag(ctx context.Context) (seconds float64, err error) {
	for _, box := range g.boxes {
		b, err := box.Backlog(ctx)
		if err != nil {
			return 0, err //nolint:wrapcheck // by the engine, with the rule's name
		}
		seconds = max(seconds, b.Oldest.Seconds())
	}
	return seconds, nil
}

func (g *gauges) backlog(ctx context.Context) (n float64, err error) {
	for _, box := range g.boxes {
		b, err := box.Backlog(ctx)
		if err != nil {
			return 0, err //nolint:wrapcheck // by the engine
		}
		n += float64(b.Messages)
	}
	return n, nil
}

func (g *gauges) dead(ctx context.Context) (n float64, err error) {
	for _, letters := range g.letters {
		of, err := letters.Count(ctx, deadletter.Filter{Status: deadletter.Dead})
		if err != nil {
			return 0, err //nolint:wrapcheck // by the engine
		}
		n += float64(of)
	}
	return n, nil
}

func (g *gauges) open(context.Context) (n float64, err error) {
	for _, s := range g.stacks {
		for _, c := range s.Circuits() {
			if c.State != circuit.Closed {
				n++
			}
		}
	}
	return n, nil
}

func (g *gauges) lost(context.Context) (n float64, err error) {
	for _, s := range g.stacks {
		n += float64(s.lost.Load())
	}
	for _, r := range g.relays {
		n += float64(r.Stats().Stale)
	}
	return n, nil
}

// away is a gauge that is 1 while a relay finds something away.
func away(relays []*forwarder.Relay, is func(forwarder.RelayStats) bool) rule.Gauge {
	return func(context.Context) (float64, error) {
		for _, r := range relays {
			if is(r.Stats()) {
				return 1, nil
			}
		}
		return 0, nil
	}
}

// countLost counts the leases that handlers lose, for Rules.
func (s *Stack) countLost() {
	own := s.observe
	s.observe = func(e Event) {
		if e.Kind == LeaseLost {
			s.lost.Add(1)
		}
		own.Emit(e)
	}
}
