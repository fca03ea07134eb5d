package objectsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// ReconcileConfig configures one Reconcile. The zero value compares all and repairs.
type ReconcileConfig struct {
	// DryRun reports and changes nothing at all.
	DryRun bool
	// Grace is how old an object must be to be removed as an orphan: the store's time
	// of its last change against the time here. Default: 1 h. NoGrace: none.
	Grace time.Duration
	// Page is how many rows and objects are held at a time, 1 to 1000. Default: 500.
	Page int
	// Pages is after how many pages to stop; Report.Cursor says where to go on.
	// Default: all.
	Pages int
	// Cursor is that of the Report to go on from. Default: the beginning.
	Cursor string
	// Deep also reads every object and compares its bytes: for a store that changes
	// them without changing their ETag.
	Deep bool
	// Actor is recorded with each repair. Default: "reconcile".
	Actor string
	// Each is told of every drift, on the caller's goroutine, before it is repaired.
	Each func(Drift)
}

// NoGrace is a ReconcileConfig.Grace of none at all.
const NoGrace = -1

// Kind is a kind of drift.
type Kind string

// The kinds.
const (
	Missing Kind = "missing" // a row without its object
	Stale   Kind = "stale"   // an object, or its record, that is not equal to its row
	Orphan  Kind = "orphan"  // an object without a row
	Stuck   Kind = "stuck"   // a mark that nobody would work on
)

// Drift is one object that is not equal to its row.
type Drift struct {
	Kind        Kind
	Entity, Key string
}

// MaxDrifts is how many drifts a Report holds.
const MaxDrifts = 100

// Report is what Reconcile found and did.
type Report struct {
	// Checked are the entities and objects that were compared, Equal those of them
	// that were right, Pending those that are to be uploaded anyway.
	Checked, Equal, Pending int
	// Missing, Stale, Orphan and Stuck count the drifts.
	Missing, Stale, Orphan, Stuck int
	// Young are objects without a row that are younger than Grace, and Foreign those
	// under the prefix whose keys are no entity's. Both are left alone.
	Young, Foreign int
	// Unread could not be compared; Err has the first reason.
	Unread int
	Err    error
	// Repaired are the drifts that were cured here, and Unrepaired those that were left
	// to the schedule, or given up.
	Repaired, Unrepaired int
	// Tombstones are those that were removed because of their age.
	Tombstones int
	// Drifts are the first MaxDrifts; ReconcileConfig.Each is told of all.
	Drifts []Drift
	// Cursor is where to go on. Empty: all was compared.
	Cursor string
}

// Drift is how many drifts were found.
func (r *Report) Drift() int { return r.Missing + r.Stale + r.Orphan + r.Stuck }

func (r *Report) add(d Drift) {
	switch d.Kind {
	case Missing:
		r.Missing++
	case Stale:
		r.Stale++
	case Orphan:
		r.Orphan++
	case Stuck:
		r.Stuck++
	}
	if len(r.Drifts) < MaxDrifts {
		r.Drifts = append(r.Drifts, d)
	}
}

// Reconcile compares every row that was ever marked with its object, and every object
// under the prefix with its row, page by page; with Config.Entities it also finds rows
// that were never marked. Each row is read by Config.Load. What seems to differ is looked
// at once more, so that uploads that go on meanwhile are not taken for drift. Drift is
// repaired as Sync does it, under the lease of the entity and with the guard of
// versions, is recorded (Actions), and is told to Config.Alerts, once. Objects are
// removed only where Load says that the row is gone.
//
// It may be ended at any time, and goes on from Report.Cursor. The error is for
// what ended it early: the end of ctx, a table or a listing that could not be
// read. One at a time is enough; two do no harm.
func (s *Syncer) Reconcile(ctx context.Context, cfg ReconcileConfig) (Report, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Report{}, err
	}
	p := pass{s: s, cfg: cfg, report: Report{Cursor: cfg.Cursor}}
	err = p.all(ctx)
	if n := p.report.Drift(); n > 0 {
		r := &p.report
		s.log.Warn("objects were not equal to their rows", "missing", r.Missing, "stale", r.Stale, "orphan", r.Orphan, "stuck", r.Stuck,
			"repaired", r.Repaired, "dry_run", cfg.DryRun)
		s.emit(alert.Alert{
			Name: AlertDrift, Count: n, Key: r.Drifts[0].Entity, Reason: string(r.Drifts[0].Kind),
			Summary: fmt.Sprintf("Objects of %q are not equal to their rows: %d missing, %d stale, %d orphaned, %d stuck; %d were repaired.",
				s.cfg.Name, r.Missing, r.Stale, r.Orphan, r.Stuck, r.Repaired),
		})
	}
	if err != nil {
		return p.report, fmt.Errorf("reconcile: %w", err)
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "reconciled", slog.Int("checked", p.report.Checked))
	return p.report, nil
}

func (c ReconcileConfig) withDefaults() (ReconcileConfig, error) {
	orDefault(&c.Grace, time.Hour)
	orDefault(&c.Page, 500)
	orDefault(&c.Actor, ActionReconcile)
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("ReconcileConfig."+format, args...))
	}
	switch {
	case c.Grace == NoGrace:
		c.Grace = 0
	case c.Grace < 0:
		bad("Grace: %v, must not be negative, use NoGrace", c.Grace)
	}
	if c.Page < 1 || c.Page > maxPage {
		bad("Page: %d, use 1 to %d", c.Page, maxPage)
	}
	if c.Pages < 0 {
		bad("Pages: %d, must not be negative", c.Pages)
	}
	if _, _, err := parseCursor(c.Cursor); err != nil {
		bad("Cursor: %w", err)
	}
	if len(c.Actor) > 255 {
		bad("Actor: %d bytes, use up to 255", len(c.Actor))
	}
	return c, errors.Join(errs...)
}
