package node

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/rule"
	"github.com/sluicegate/sluicegate/alert/slogchannel"
	"github.com/sluicegate/sluicegate/alert/sqlstate"
)

// rulesEvery is how often a run looks at what its rules watch: it does not last for
// as long as a shop's rules wait.
const rulesEvery = 500 * time.Millisecond

// openAlerts makes what tells people.
func (n *Node) openAlerts() error {
	channel, err := slogchannel.New(cmp.Or(n.cfg.Alerts, n.cfg.Logger), slogchannel.Config{})
	if err != nil {
		return err
	}
	c := alert.Config{GroupBy: []string{"name"}, GroupWait: n.cfg.AlertWait, Inhibitions: rule.Inhibitions(), Logger: n.cfg.Logger}
	if n.cfg.ShareAlerts {
		if c.State, err = sqlstate.New(n.db, sqlstate.Config{Dialect: n.cfg.Database.Dialect()}); err != nil {
			return err
		}
	}
	n.alerts, err = alert.New(channel, c)
	return err
}

// openRules makes what looks at the outbox, the relay and the dead letters. A load
// goes without: it is measured.
func (n *Node) openRules() error {
	if n.cfg.Throughput {
		return nil
	}
	stack, err := sluicegate.New(n.db, sluicegate.Config{Consumer: n.cfg.Consumer, Dialect: n.cfg.Database.Dialect(), Logger: n.cfg.Logger})
	if err != nil {
		return err
	}
	c := rule.Config{Logger: n.cfg.Logger}
	if n.cfg.hurry() {
		c.Every = rulesEvery
	}
	n.rules, err = rule.New(n.alerts, stack.Rules(n.relay), c)
	return err
}

// watch evaluates the rules until ctx ends.
func (n *Node) watch(ctx context.Context) error {
	if n.rules == nil {
		return nil
	}
	if err := n.rules.Run(ctx); err != nil {
		return fmt.Errorf("alert rules: %w", err)
	}
	return nil
}
