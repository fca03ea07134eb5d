// Package campaign is a run of the demo: it starts a shop, places orders
// through its HTTP API while things break on purpose, waits until all of them
// have been handled or set aside, and checks the ledger.
package campaign

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/fault"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/node"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/progress"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/handlers/objectsync/dirstore"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/middleware/park"
)

// Run runs. The error says that the run itself has failed; a ledger that is
// wrong is in the Summary.
func Run(ctx context.Context, s settings.Settings, display *progress.Display, logger *slog.Logger) (Summary, error) {
	return runWith(ctx, s, display, logger, func(*node.Config) {})
}

// runWith is Run with a node that adjust has changed: tests take guarantees
// away, to see that the ledger finds out.
func runWith(parent context.Context, s settings.Settings, display *progress.Display, logger *slog.Logger, adjust func(*node.Config)) (_ Summary, err error) {
	// The folder goes last, when nothing in it is open any more.
	url, remove, err := node.DatabaseURL(s.Database)
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	source, err := database.Parse(url)
	if err != nil {
		return Summary{}, err
	}
	ctx, cancel := context.WithTimeoutCause(parent, s.Deadline, fmt.Errorf("the deadline of %s has passed", s.Deadline))
	defer cancel()
	folder, err := os.MkdirTemp("", "sluicegate-pages-")
	if err != nil {
		return Summary{}, fmt.Errorf("make folder of pages: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	pages, err := dirstore.New(folder)
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, pages.Close()) }()
	r, err := newRun(s, display)
	if err != nil {
		return Summary{}, err
	}
	r.folder, r.store = folder, fault.NewStore(pages, r.plan)
	cfg := r.nodeConfig(source, logger)
	adjust(&cfg)
	r.node, err = node.Open(ctx, cfg)
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, r.node.Close()) }() //nolint:contextcheck // what ends a run must not end with its context
	if err := r.node.Prepare(ctx); err != nil {
		return Summary{}, err
	}
	if err := r.node.Alone(ctx); err != nil {
		return Summary{}, err
	}
	summary, err := r.do(ctx)
	if parent.Err() != nil {
		return Summary{}, errors.Join(ErrInterrupted, err)
	}
	return summary, err
}

// ErrInterrupted says that a run was stopped before its end: its ledger would
// say nothing.
var ErrInterrupted = errors.New("interrupted before the end")

// run is one run.
type run struct {
	settings   settings.Settings
	display    *progress.Display
	name       string
	begun      time.Time
	plan       fault.Plan
	deliveries *fault.Deliveries
	counts     *counts
	merchant   *partner.Merchant
	courier    *partner.Courier
	folder     string // of the products' pages
	store      *fault.Store
	node       *node.Node
	client     *client
}

func newRun(s settings.Settings, display *progress.Display) (*run, error) {
	plan := fault.NewPlan(s.Seed, s.Orders)
	merchant, err := partner.NewMerchant(plan.Merchant(s.Orders))
	if err != nil {
		return nil, err
	}
	courier, err := partner.NewCourier(plan.Courier())
	if err != nil {
		return nil, err
	}
	return &run{
		merchant: merchant, courier: courier,
		settings: s, display: display, begun: time.Now(), plan: plan,
		// Not from the seed: the same run repeated on one database must not
		// meet its former self.
		name:       "run" + strings.ToLower(rand.Text()[:10]),
		deliveries: fault.NewDeliveries(plan), counts: newCounts(),
	}, nil
}

// soon is the schedule of the messages that the attempts at once could not do, in
// seconds in place of minutes: nobody wants to wait for a demo.
var soon = park.Policy{
	Schedule: park.Schedule{Delays: []time.Duration{400 * time.Millisecond, 150 * time.Millisecond}, MaxAttempts: 8},
	Excuse:   250 * time.Millisecond,
}

// nodeConfig sets this run apart from all others on the same servers: topics,
// groups, inbox and orders bear its name.
func (r *run) nodeConfig(source database.Source, logger *slog.Logger) node.Config {
	var number atomic.Int64
	return node.Config{
		Settings: r.settings, Database: source,
		Consumer: "demo-" + r.name, TopicSuffix: "." + r.name, IDPrefix: r.name + "-",
		NewID:           func() string { return fmt.Sprintf("%s-%07d", r.name, number.Add(1)) },
		Faults:          fault.NewHandlers(r.plan),
		BreakPublisher:  func(b fault.Broker) fault.Broker { return fault.NewPublisher(b, r.plan, r.settings.Orders) },
		BreakSubscriber: r.deliveries.Subscriber,
		Observe:         r.counts.observe,
		Partners:        &node.Partners{Merchant: r.merchant, Courier: r.courier, Hurry: true},
		Pages:           r.store,
		Park:            sluicegate.ParkConfig{Policy: soon, PollMax: 200 * time.Millisecond},
		AlertWait:       time.Second,
		Logger:          logger,
		// Shown at any log level: that somebody is told is part of the show.
		Alerts: slog.New(slog.NewTextHandler(r.display, nil)),
	}
}

// do has everything work, and reads the ledger when nothing moves any more.
func (r *run) do(ctx context.Context) (Summary, error) {
	url, stop, err := r.node.House(ctx)
	if err != nil {
		return Summary{}, err
	}
	r.display.Say("%s: %d orders with seed %d to %s, while things break on purpose", r.name, r.settings.Orders, r.settings.Seed, url)
	r.client = newClient(url, r.name, r.plan, r.settings)
	accepted, placeErr := r.place(ctx)
	late := r.drained(ctx)

	stopErr := stop()
	r.display.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	facts, err := r.node.Facts(ending)
	if err != nil {
		return Summary{}, errors.Join(err, stopErr)
	}
	pagesErr := r.pages(&facts)
	return r.summary(facts, accepted, placeErr, stopErr, late, pagesErr), nil
}

// place places the orders and shows how that goes.
func (r *run) place(ctx context.Context) ([]string, error) {
	type result struct {
		accepted []string
		err      error
	}
	done := make(chan result, 1)
	go func() {
		accepted, err := r.client.place(ctx)
		done <- result{accepted, err}
	}()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case got := <-done:
			return got.accepted, got.err
		case <-tick.C:
			r.show()
		}
	}
}

// expect adds to facts which orders were meant to be set aside, and which request
// each is of: a run asks for every SKU once.
func (r *run) expect(facts ledger.Facts) ledger.Facts {
	facts.Poison, facts.Requests = map[string]map[string]bool{}, facts.SKUs
	heard, booked := r.merchant.Report(), r.courier.Report()
	facts.Merchant, facts.Courier = &heard, &booked
	for _, service := range ledger.Services {
		facts.Poison[service] = map[string]bool{}
		for id, sku := range facts.SKUs {
			if r.plan.Poisoned(service, sku) {
				facts.Poison[service][id] = true
			}
		}
	}
	return facts
}

// summary checks the ledger.
func (r *run) summary(facts ledger.Facts, accepted []string, errs ...error) Summary {
	facts.Accepted = accepted
	report := ledger.Check(r.expect(facts))
	retried, deduplicated, _, _ := r.counts.snapshot()
	parked := r.counts.parkedEver()
	alerts := r.node.Alerts()
	s := Summary{
		pageSummary: r.newPageSummary(report.PagesEqual),
		Orders:      report.Orders, Applied: report.Applied, Lost: report.Lost, Duplicated: report.Duplicated,
		Redelivered: r.deliveries.Redelivered(), Deduplicated: deduplicated, Retried: retried, Parked: parked,
		AlertsSent: alerts.Sent, AlertsSuppressed: alerts.Suppressed,
		HTTPReplayed: int(r.client.replayed.Load()), HTTPConflicts: int(r.client.conflicts.Load()),
		ElapsedSeconds:  float64(time.Since(r.begun).Milliseconds()) / 1000,
		merchantSummary: newMerchantSummary(r.merchant.Report()), courierSummary: newCourierSummary(r.courier.Report(), facts.Parcels), Mismatched: report.Mismatched,
		report: report, seed: r.settings.Seed,
	}
	for _, n := range report.DeadLettered {
		s.DeadLettered += n
	}
	for _, err := range errs {
		if err != nil {
			s.problems = append(s.problems, err.Error())
		}
	}
	return s
}
