// Package load puts the whole shop under load: many clients place orders
// through its HTTP API for a while, all roles handle them meanwhile, and when
// the backlog is gone the ledger says whether every effect is there once.
package load

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/node"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/progress"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/database"
)

// ErrInterrupted says that a load was stopped before its end.
var ErrInterrupted = errors.New("interrupted before the end")

// gcPercent lets the heap, which is some ten megabytes at work, grow to some
// more: the default collects many times a second.
const gcPercent = 400

// Run runs. The error says that the load itself has failed; a ledger that is
// wrong is in the Summary.
func Run(parent context.Context, s settings.Settings, display *progress.Display, logger *slog.Logger) (_ Summary, err error) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	url, remove, err := node.DatabaseURL(s.Database)
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	source, err := database.Parse(url)
	if err != nil {
		return Summary{}, err
	}
	placing := time.Duration(s.Seconds) * time.Second
	ctx, cancel := context.WithTimeoutCause(parent, placing+s.Deadline, fmt.Errorf("the backlog was not handled within %s", s.Deadline))
	defer cancel()
	l := &load{settings: s, display: display, name: "load" + strings.ToLower(rand.Text()[:10]), counts: &counts{}}
	if l.node, err = node.Open(ctx, l.nodeConfig(source, logger)); err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, l.node.Close()) }() //nolint:contextcheck // what ends a load must not end with its context
	if err := l.node.Prepare(ctx); err != nil {
		return Summary{}, err
	}
	if err := l.node.Alone(ctx); err != nil {
		return Summary{}, err
	}
	summary, err := l.do(ctx, placing)
	if parent.Err() != nil {
		return Summary{}, errors.Join(ErrInterrupted, err)
	}
	return summary, err
}

// load is one load.
type load struct {
	settings settings.Settings
	display  *progress.Display
	name     string
	node     *node.Node
	counts   *counts
	clients  []*client
	backlog  []int // every second
}

// nodeConfig sets this load apart from all others on the same servers.
func (l *load) nodeConfig(source database.Source, logger *slog.Logger) node.Config {
	var number atomic.Int64
	return node.Config{
		Throughput: true,
		Settings:   l.settings, Database: source,
		Consumer: "demo-" + l.name, TopicSuffix: "." + l.name, IDPrefix: l.name + "-",
		NewID:   func() string { return fmt.Sprintf("%s-%09d", l.name, number.Add(1)) },
		Observe: l.counts.observe,
		Logger:  logger,
		Alerts:  slog.New(slog.NewTextHandler(l.display, nil)),
	}
}

// do has the clients place orders, waits until all are handled, and reads the
// ledger.
func (l *load) do(ctx context.Context, placing time.Duration) (_ Summary, err error) {
	url, stop, err := l.node.House(ctx)
	if err != nil {
		return Summary{}, err
	}
	stop = sync.OnceValue(stop)
	defer func() { err = errors.Join(err, stop()) }()
	address := strings.TrimPrefix(url, "http://")
	if err := l.warmUp(ctx, address); err != nil {
		return Summary{}, err
	}
	unprofile, err := profile(l.settings.CPUProfile)
	if err != nil {
		return Summary{}, err
	}
	l.display.Say("%s: %d clients place orders for %s at %s", l.name, l.settings.Clients, placing, url)
	begun, before := time.Now(), l.counts.applied()
	l.place(ctx, address, placing)
	placed := time.Since(begun)
	atEnd := l.counts.backlog()
	err = errors.Join(l.drain(ctx), unprofile())
	applied := max(placed, l.counts.last().Sub(begun))
	err = errors.Join(err, stop())
	l.display.Done()
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	facts, factsErr := l.node.Facts(reading)
	if factsErr != nil {
		return Summary{}, errors.Join(err, factsErr)
	}
	for _, c := range l.clients {
		facts.Accepted = append(facts.Accepted, c.ids...)
	}
	facts.Poison = map[string]map[string]bool{} // nothing was meant to fail
	return l.summary(ledger.Check(facts), placed, applied, l.counts.applied()-before, atEnd, err), nil
}

// warmUp places one order and waits until all services have handled it: from
// then on everybody is connected and has their share of the topics.
func (l *load) warmUp(ctx context.Context, address string) error {
	c := newClient(address, 0, l.settings.Seed)
	defer c.close()
	l.clients = append(l.clients, c)
	id, err := c.place(ctx, 0)
	if err != nil {
		return fmt.Errorf("place the first order: %w", err)
	}
	c.ids = append(c.ids, id)
	l.counts.placed.Add(1)
	for l.counts.backlog() > 0 {
		if backoff.Wait(ctx, 10*time.Millisecond) != nil {
			return fmt.Errorf("wait for the first order: %w", context.Cause(ctx))
		}
	}
	return nil
}

// place has all clients place orders, and notes the backlog meanwhile.
func (l *load) place(ctx context.Context, address string, placing time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, placing)
	defer cancel()
	var all sync.WaitGroup
	for i := range l.settings.Clients {
		c := newClient(address, i+1, l.settings.Seed)
		l.clients = append(l.clients, c)
		all.Go(func() { c.run(ctx, func() { l.counts.placed.Add(1) }) })
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begun := time.Now(); ; {
		select {
		case <-tick.C:
			l.backlog = append(l.backlog, l.counts.backlog())
			l.display.Show(time.Now(), fmt.Sprintf("%3.0fs placed %d · backlog %d", time.Since(begun).Seconds(), l.counts.placed.Load(), l.counts.backlog()))
		case <-ctx.Done():
			all.Wait()
			return
		}
	}
}

// drain waits until nothing is on its way any more.
func (l *load) drain(ctx context.Context) error {
	moved, last := time.Now(), -1
	for {
		if n := l.counts.backlog(); n != last {
			moved, last = time.Now(), n
		}
		stalled := time.Since(moved) > stallAfter
		if last <= 0 || stalled {
			idle, err := l.node.Idle(ctx)
			if err == nil && idle && (last <= 0 || l.settled(ctx)) {
				return nil
			}
			if stalled {
				moved = time.Now()
			}
		}
		if backoff.Wait(ctx, 20*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}

// stallAfter is when the ledger itself is asked whether all is done: an order
// whose answer was lost, or an effect of which nobody told.
const stallAfter = 5 * time.Second

func (l *load) settled(ctx context.Context) bool {
	facts, err := l.node.Facts(ctx)
	return err == nil && ledger.Check(facts).Lost == 0
}

// profile writes a profile to path until the function is called.
func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write cpu-profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("write cpu-profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}
