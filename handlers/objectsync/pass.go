package objectsync

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// A Reconcile has two phases: rows that were never marked, and then records beside
// objects. Its cursor is the phase and the last entity or key of it.
const (
	phaseRows    = "rows"
	phaseObjects = "objects"
)

func parseCursor(c string) (phase, after string, err error) {
	if c == "" {
		return phaseRows, "", nil
	}
	phase, after, found := strings.Cut(c, ":")
	if !found || phase != phaseRows && phase != phaseObjects {
		return "", "", errors.New("it is none that a Report had")
	}
	return phase, after, nil
}

// pass is one Reconcile.
type pass struct {
	s      *Syncer
	cfg    ReconcileConfig
	report Report
}

func (p *pass) all(ctx context.Context) error {
	phase, after, err := parseCursor(p.cfg.Cursor)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if p.cfg.Pages > 0 && n == p.cfg.Pages {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var (
			next string
			more bool
		)
		step := p.objects
		if phase == phaseRows {
			step = p.rows
		}
		if next, more, err = step(ctx, after); err != nil {
			return err
		}
		after = next
		if !more && phase == phaseObjects {
			p.report.Cursor = ""
			return p.prune(ctx)
		}
		if !more {
			phase, after = phaseObjects, ""
		}
		p.report.Cursor = phase + ":" + after
	}
}

// rows looks for entities that have no record.
func (p *pass) rows(ctx context.Context, after string) (next string, more bool, err error) {
	if p.s.cfg.Entities == nil {
		return "", false, nil
	}
	var entities []string
	err = p.s.within(ctx, func(ctx context.Context) (err error) {
		entities, err = p.s.cfg.Entities(ctx, p.s.db, after, p.cfg.Page)
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("list entities: %w", err)
	}
	if len(entities) == 0 {
		return "", false, nil
	}
	known, err := p.s.table.known(ctx, entities)
	if err != nil {
		return "", false, err
	}
	var suspects []suspect
	for _, e := range entities {
		if known[e] {
			continue // its turn comes with the records
		}
		key, err := p.s.key(e)
		if err != nil {
			p.report.Checked++
			p.unread(err)
			continue
		}
		suspects = append(suspects, suspect{entity: e, key: key, bare: true})
	}
	if err := p.settle(ctx, suspects); err != nil {
		return "", false, err
	}
	next = entities[len(entities)-1]
	if next == after {
		return "", false, errors.New("list entities: Config.Entities does not go on")
	}
	return next, true, nil
}

// known returns which of the entities have a record.
func (t *table) known(ctx context.Context, entities []string) (map[string]bool, error) {
	out := make(map[string]bool, len(entities))
	args := make([]any, 0, len(entities))
	for _, e := range entities {
		args = append(args, e)
	}
	recs, err := t.list(ctx, "AND entity IN (?"+strings.Repeat(", ?", len(entities)-1)+")", args...)
	for _, r := range recs {
		out[r.Entity] = true
	}
	return out, err
}

// objects compares the records and the objects of the next keys. Both come in the
// order of their keys, and of the longer of two pages only what the other reaches is taken.
func (p *pass) objects(ctx context.Context, after string) (next string, more bool, err error) {
	recs, err := p.s.table.list(ctx, "AND object_key > ? ORDER BY object_key LIMIT ?", after, p.cfg.Page)
	if err != nil {
		return "", false, err
	}
	var page Page
	err = p.s.within(ctx, func(ctx context.Context) (err error) {
		page, err = p.s.store.List(ctx, ListRequest{Prefix: p.s.cfg.KeyPrefix, After: after, Limit: p.cfg.Page})
		return err
	})
	if err != nil {
		return "", false, fmt.Errorf("list objects: %w", err)
	}
	bound := ""
	if len(recs) == p.cfg.Page {
		bound = recs[len(recs)-1].Key
	}
	if page.More && len(page.Items) > 0 {
		if last := page.Items[len(page.Items)-1].Key; bound == "" || last < bound {
			bound = last
		}
	}
	return bound, bound != "", p.settle(ctx, p.pair(recs, page.Items, bound))
}

// pair brings records and objects together by key, up to a bound; an empty one is none.
func (p *pass) pair(recs []Record, objects []Info, bound string) []suspect {
	var out []suspect
	past := func(key string) bool { return bound != "" && key > bound }
	for len(recs) > 0 || len(objects) > 0 {
		switch {
		case len(objects) == 0 || len(recs) > 0 && recs[0].Key < objects[0].Key:
			if !past(recs[0].Key) {
				out = append(out, suspect{entity: recs[0].Entity, key: recs[0].Key, rec: &recs[0]})
			}
			recs = recs[1:]
		case len(recs) == 0 || objects[0].Key < recs[0].Key:
			if !past(objects[0].Key) {
				out = p.bare(out, &objects[0])
			}
			objects = objects[1:]
		default:
			if !past(recs[0].Key) {
				out = append(out, suspect{entity: recs[0].Entity, key: recs[0].Key, rec: &recs[0], object: &objects[0]})
			}
			recs, objects = recs[1:], objects[1:]
		}
	}
	return out
}

// bare adds an object without a record, unless it is none of ours.
func (p *pass) bare(out []suspect, o *Info) []suspect {
	entity, ok := p.s.entity(o.Key)
	if !ok {
		p.report.Checked++
		p.report.Foreign++
		return out
	}
	return append(out, suspect{entity: entity, key: o.Key, object: o, bare: true})
}

// prune removes tombstones that are old.
func (p *pass) prune(ctx context.Context) error {
	if p.cfg.DryRun || p.s.cfg.RetainTombstones < 0 {
		return nil
	}
	old := "SELECT entity FROM {object} WHERE sync_name = ? AND status = 'removed' AND updated_at < {now} - ? ORDER BY entity LIMIT ?"
	for {
		entities, err := p.s.table.names(ctx, old, p.s.cfg.Name, p.s.cfg.RetainTombstones.Microseconds(), p.cfg.Page)
		if err != nil || len(entities) == 0 {
			return err
		}
		removed := 0
		err = p.s.table.InTx(ctx, func(ctx context.Context, tx dbtx.Tx) error {
			removed = 0 // it may begin again
			for _, e := range entities {
				n, err := p.s.table.Exec(ctx, tx, "DELETE FROM {object} WHERE sync_name = ? AND entity = ? AND status = 'removed'", p.s.cfg.Name, e)
				if err != nil {
					return fmt.Errorf("remove tombstone: %w", err)
				}
				removed += int(n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.report.Tombstones += removed
	}
}

func (t *table) names(ctx context.Context, query string, args ...any) ([]string, error) {
	list, err := sqltable.Collect(ctx, &t.Tables, t.DB, query, args, func(row dbtx.Row) (e string, err error) {
		err = row.Scan(&e)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("list tombstones: %w", err)
	}
	return list, nil
}
