package node

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/middleware/retry"
)

// Run runs the given roles but the HTTP server of api, which is the caller's, until
// ctx ends and what is under way has ended too, within the drain deadline. A
// role that fails is started again. The error says what was cut off.
func (n *Node) Run(ctx context.Context, roles role.Set) error {
	// The alerts end last, so that none of the others' is left.
	alerts, stopAlerts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAlerts()
	alertsEnded := make(chan error, 1)
	go func() { alertsEnded <- n.alerts.Run(alerts) }()
	rulesEnded := make(chan error, 1)
	go func() { rulesEnded <- n.watch(ctx) }()

	var stops []func() error
	for _, group := range n.stopOrder() {
		stops = append(stops, n.start(ctx, roles, group))
	}
	<-ctx.Done()
	var errs []error
	for _, stop := range stops {
		errs = append(errs, stop())
	}
	errs = append(errs, <-rulesEnded)
	stopAlerts()
	return errors.Join(append(errs, <-alertsEnded)...)
}

// stopOrder is which roles stop together, and which before which: where a
// publish waits for the services' acks, whoever publishes must stop while they
// still answer.
func (n *Node) stopOrder() []role.Set {
	if n.consumedAck() {
		return []role.Set{{role.Relay}, {role.Payment}, {role.API, role.Stock, role.Points, role.Shipping}}
	}
	return []role.Set{role.All}
}

// start starts those of group that are in roles; the function stops them.
func (n *Node) start(ctx context.Context, roles, group role.Set) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	services := n.shop.Services()
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, r := range group {
		if !roles.Has(r) {
			continue
		}
		for _, p := range n.parts(r, services) {
			all.Go(func() {
				if err := n.supervise(ctx, p.name, p.run); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
				}
			})
		}
	}
	return func() error {
		cancel()
		all.Wait()
		return errors.Join(errs...)
	}
}

// parts are what a role runs: its service, and what works for it.
func (n *Node) parts(r role.Role, services map[string]shop.Service) []part {
	serves := func(name string) part {
		return part{name, func(ctx context.Context) error { return n.serve(ctx, services[name]) }}
	}
	service := serves(string(r))
	switch r {
	case role.API:
		if n.pages == nil {
			return nil
		}
		return []part{{"pages", n.pages.Run}}
	case role.Relay:
		return []part{{string(r), func(ctx context.Context) error { return n.relay.Run(ctx) }}}
	case role.Payment:
		return append(n.partners.merchantParts(), service)
	case role.Shipping:
		if n.partners == nil {
			return []part{service}
		}
		return append(n.partners.courierParts(), service, serves(shop.Parcels))
	default:
		return []part{service}
	}
}

// supervise runs one part of a role, again after a pause where it ends by itself. Its
// error is that of the stop.
func (n *Node) supervise(ctx context.Context, name string, run func(context.Context) error) error {
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 15*time.Second) {
		n.cfg.Logger.InfoContext(ctx, "role begins", "role", name)
		err := run(ctx)
		if ctx.Err() != nil {
			n.cfg.Logger.InfoContext(ctx, "role ended", "role", name)
			return err
		}
		n.cfg.Logger.ErrorContext(ctx, "role ended by itself and begins again", "role", name, "error", err, "pause", pause)
		n.roles.Store(name, true)
		if backoff.Wait(ctx, pause) != nil {
			return nil //nolint:nilerr // it was stopped while nothing ran
		}
		n.roles.Delete(name)
	}
}

// serve runs one service. A stack drains once, so each start makes a new one.
func (n *Node) serve(ctx context.Context, service shop.Service) error {
	stack, err := sluicegate.New(n.db, sluicegate.Config{ //nolint:contextcheck // handlers get the context of their message
		Consumer:     n.cfg.Consumer,
		Dialect:      n.cfg.Database.Dialect(),
		Store:        n.store.records,
		Publisher:    n.pub,
		Retry:        retry.Config{Initial: 20 * time.Millisecond, Max: time.Second},
		Alerts:       n.alerts,
		Park:         n.cfg.Park,
		DrainTimeout: n.cfg.Settings.DrainTimeout,
		Observe:      n.observe(service),
		Logger:       n.cfg.Logger,
	})
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: n.cfg.Settings.DrainTimeout}, watermill.NopLogger{})
	if err != nil {
		return fmt.Errorf("make router: %w", err)
	}
	own, err := n.brokers.Subscriber(service.Topic, n.group(service.Name))
	if err != nil {
		return err
	}
	sub := message.Subscriber(own)
	if n.cfg.BreakSubscriber != nil {
		sub = n.cfg.BreakSubscriber(service.Name, own, own.Capabilities())
	}
	if err := n.install(stack, router, service, sub); err != nil { //nolint:contextcheck // as above
		return err
	}
	return stack.Run(ctx, router)
}

// batches are few and large where there is much to do: every transaction costs
// four round trips and a commit, which the orders of a batch share. Where there
// is little, none waits.
var batches = sluicegate.BatchConfig{MaxBatch: 500, Linger: 20 * time.Millisecond}

// install gives the service its messages: many in one transaction where the dedup
// rows are in it, and else each by itself.
func (n *Node) install(stack *sluicegate.Stack, router *message.Router, service shop.Service, sub message.Subscriber) error {
	if n.store.records == nil {
		return stack.HandleBatchProducing(router, service.Name, service.Topic, sub, service.Output, service.Handle, batches)
	}
	return stack.HandleProducing(router, service.Name, service.Topic, sub, service.Output, func(ctx context.Context, tx *sql.Tx, msg *message.Message) ([]*message.Message, error) {
		return service.Handle(ctx, tx, []*message.Message{msg})
	})
}

// observe tells Config.Observe, and the log in so many words as it takes to
// find a message.
func (n *Node) observe(service shop.Service) func(sluicegate.Event) {
	return func(e sluicegate.Event) {
		if n.cfg.Observe != nil {
			n.cfg.Observe(e)
		}
		if e.Kind == sluicegate.Handled {
			n.partners.wake(service.Name)
		}
		if e.Kind == sluicegate.Handled && service.Output != "" {
			n.box.Wake() // the output is committed: no need for the relay to wait until it looks
		}
		if !n.cfg.Logger.Enabled(context.Background(), slog.LevelDebug) {
			return // many a second
		}
		n.cfg.Logger.Debug("message", "event", string(e.Kind), "handler", e.Handler, "message_id", e.MessageID, "attempt", e.Attempt, "error", e.Err)
	}
}
