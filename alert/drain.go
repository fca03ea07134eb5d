package alert

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

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
