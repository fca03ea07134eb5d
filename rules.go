package sluicegate

import (
	"context"

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
func (s *Stack) Rules(relays ...*forwarder.Relay) []rule.Rule {
	var rules []rule.Rule
	if s.box != nil {
		rules = append(rules,
			rule.OutboxLag(func(ctx context.Context) (float64, error) {
				b, err := s.box.Backlog(ctx)
				return b.Oldest.Seconds(), err //nolint:wrapcheck // by the engine, with the rule's name
			}),
			rule.OutboxBacklog(func(ctx context.Context) (float64, error) {
				b, err := s.box.Backlog(ctx)
				return float64(b.Messages), err //nolint:wrapcheck // by the engine
			}))
	}
	if s.stored != nil {
		rules = append(rules, rule.DeadLettersGrow(func(ctx context.Context) (float64, error) {
			n, err := s.stored.Count(ctx, deadletter.Filter{Status: deadletter.Dead})
			return float64(n), err //nolint:wrapcheck // by the engine
		}))
	}
	if s.circuits != nil {
		rules = append(rules, rule.CircuitOpen(func(context.Context) (float64, error) {
			n := 0
			for _, c := range s.Circuits() {
				if c.State != circuit.Closed {
					n++
				}
			}
			return float64(n), nil
		}))
	}
	rules = append(rules, rule.LeaseLost(func(context.Context) (float64, error) {
		n := s.lost.Load()
		for _, r := range relays {
			n += r.Stats().Stale
		}
		return float64(n), nil
	}))
	if len(relays) > 0 {
		rules = append(rules,
			rule.BrokerDown(away(relays, func(st forwarder.RelayStats) bool { return !st.BrokerAwaySince.IsZero() })),
			rule.DatabaseDown(away(relays, func(st forwarder.RelayStats) bool { return !st.DatabaseAwaySince.IsZero() })))
	}
	return rules
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
