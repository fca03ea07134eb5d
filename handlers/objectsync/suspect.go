package objectsync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// suspect is an entity that is to be compared.
type suspect struct {
	entity, key string
	rec         *Record // nil: it has none
	object      *Info   // nil: none is there, unless bare
	// bare says that there is no record, so that the object is to be looked at.
	bare bool
}

// finding is what a comparison came to.
type finding struct {
	kind    Kind // empty: none
	pending bool
	young   bool
	err     error
}

// settle compares the suspects of a page, tells of those that differ, and repairs them.
func (p *pass) settle(ctx context.Context, list []suspect) error {
	findings := make([]finding, len(list))
	p.s.each(len(list), func(i int) { findings[i] = p.twice(ctx, list[i]) })
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var drifts []string
	for i, f := range findings {
		p.report.Checked++
		switch {
		case f.err != nil:
			p.unread(f.err)
		case f.young:
			p.report.Young++
		case f.pending:
			p.report.Pending++
		case f.kind == "":
			p.report.Equal++
		default:
			d := Drift{Kind: f.kind, Entity: list[i].entity, Key: list[i].key}
			p.report.add(d)
			if p.cfg.Each != nil {
				p.cfg.Each(d)
			}
			drifts = append(drifts, d.Entity)
		}
	}
	if p.cfg.DryRun || len(drifts) == 0 {
		return nil
	}
	return p.repair(ctx, drifts)
}

func (p *pass) unread(err error) {
	p.report.Unread++
	if p.report.Err == nil {
		p.report.Err = err
	}
}

// repair marks, with a record of it, and runs. What was recorded of the object is
// forgotten, so that it is written even where it looks right.
func (p *pass) repair(ctx context.Context, entities []string) error {
	err := p.s.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
		if err := p.s.MarkBatch(ctx, tx, entities...); err != nil {
			return err
		}
		for _, e := range entities {
			if _, err := p.s.table.Exec(ctx, tx, "UPDATE {object} SET etag = '', touched = touched + 1 WHERE sync_name = ? AND entity = ?", p.s.cfg.Name, e); err != nil {
				return fmt.Errorf("forget object: %w", err)
			}
			if err := p.s.table.act(ctx, tx, Action{Entity: e, Action: ActionReconcile, Actor: p.cfg.Actor}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark drift: %w", err)
	}
	for _, r := range p.s.runAll(ctx, entities) {
		if r.Err == nil || errors.Is(r.Err, ErrMarked) {
			p.report.Repaired++
		} else {
			p.report.Unrepaired++
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// twice compares, and where something differs once more with what is there now: an upload
// between the reading of the table and the listing looks like drift.
func (p *pass) twice(ctx context.Context, x suspect) finding {
	if x.bare {
		return p.fresh(ctx, x.entity, x.key)
	}
	f := p.compare(ctx, x)
	if f.kind == "" || f.err != nil {
		return f
	}
	return p.fresh(ctx, x.entity, x.key)
}

// fresh compares by a record and an object that are read now.
func (p *pass) fresh(ctx context.Context, entity, key string) finding {
	x := suspect{entity: entity, key: key}
	rec, err := p.s.table.get(ctx, entity)
	switch {
	case err == nil:
		x.rec = &rec
	case !errors.Is(err, ErrNoRecord):
		return finding{err: err}
	}
	var info Info
	err = p.s.within(ctx, func(ctx context.Context) (err error) {
		info, err = p.s.store.Stat(ctx, key)
		return err
	})
	switch {
	case err == nil:
		x.object = &info
	case !errors.Is(err, ErrNotFound):
		return finding{err: fmt.Errorf("look at object: %w", err)}
	}
	return p.compare(ctx, x)
}

// compare compares row, record and object.
func (p *pass) compare(ctx context.Context, x suspect) finding {
	if x.rec != nil && x.rec.Status == Pending {
		return p.pending(ctx, x)
	}
	o, b, err := p.s.load(ctx, x.entity)
	switch {
	case err != nil:
		return finding{err: err}
	case o.Deleted:
		return p.gone(x)
	case x.object == nil:
		return finding{kind: Missing}
	case x.rec == nil || x.rec.Status != Synced, x.rec.Hash != b.Hash || x.rec.Version != b.Version,
		x.object.ETag != x.rec.ETag, x.object.Size != x.rec.Size, x.object.Hash != "" && x.object.Hash != b.Hash:
		return finding{kind: Stale}
	case p.cfg.Deep:
		return p.deep(ctx, x, b.Hash)
	}
	return finding{}
}

// gone is for an entity whose row is gone.
func (p *pass) gone(x suspect) finding {
	switch {
	case x.object == nil && (x.rec == nil || x.rec.Status == Removed):
		return finding{}
	case x.object == nil:
		return finding{kind: Stale} // the record does not say so yet
	case time.Since(x.object.Modified) < p.cfg.Grace:
		return finding{young: true}
	}
	return finding{kind: Orphan}
}

func (p *pass) deep(ctx context.Context, x suspect, hash string) finding {
	var got Blob
	err := p.s.within(ctx, func(ctx context.Context) (err error) {
		got, _, err = p.s.store.Get(ctx, x.key)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return finding{kind: Missing}
	case err != nil:
		return finding{err: fmt.Errorf("read object: %w", err)}
	case Hash(got.Body) != hash:
		return finding{kind: Stale}
	}
	return finding{}
}

// pending is for an entity that is to be uploaded anyway, if there is a task for it.
func (p *pass) pending(ctx context.Context, x suspect) finding {
	_, err := p.s.schedule.Find(ctx, Queue, p.s.cfg.Name, x.entity)
	switch {
	case err == nil:
		return finding{pending: true}
	case !errors.Is(err, schedule.ErrNotFound):
		return finding{err: fmt.Errorf("look for task: %w", err)}
	}
	// It was settled since the record was read, or somebody has removed it.
	if now, err := p.s.table.get(ctx, x.entity); err != nil || now.Status != Pending || now.Marks != x.rec.Marks {
		return finding{pending: true}
	}
	return finding{kind: Stuck}
}
