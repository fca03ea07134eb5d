package alert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// fate is what becomes of a row that was looked at.
type fate struct {
	leave  bool // as it is
	remove bool
	due    time.Time
}

// tries is how often a row is read again that another was faster to write. Each
// time, somebody got on.
const tries = 50

// change reads a row, has look decide what becomes of it, and writes that where
// nobody has written meanwhile; otherwise it begins again. look may be called
// several times and is given the time by the state's clock.
func change[T any](ctx context.Context, s State, kind Kind, id string, look func(doc *T, now time.Time) fate) error {
	for try := range tries {
		row, now, err := s.Get(ctx, kind, id)
		if err != nil {
			return err
		}
		doc := new(T)
		if row.Version > 0 {
			if err := json.Unmarshal(row.Data, doc); err != nil {
				// Nothing can be made of it: it begins anew.
				doc = new(T)
			}
		}
		f := look(doc, now)
		switch {
		case f.leave || (f.remove && row.Version == 0):
			return nil
		case f.remove:
			err = s.Delete(ctx, row)
		default:
			if row.Data, err = json.Marshal(doc); err != nil {
				return fmt.Errorf("encode alert state: %w", err)
			}
			row.Due = f.due
			err = s.Put(ctx, row)
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
		if err := backoff.Wait(ctx, rand.N(time.Duration(try+1)*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %d times in a row", ErrConflict, tries)
}

// changeGroup changes a group, and its due time with it.
func (n *Notifier) changeGroup(ctx context.Context, s State, id string, look func(g *group, now time.Time) (write bool)) error {
	err := change(ctx, s, KindGroup, id, func(g *group, now time.Time) fate {
		if g.Members == nil {
			g.Members = map[string]*member{}
		}
		if g.Outlet == nil {
			g.Outlet = map[string]*outlet{}
		}
		if !look(g, now) {
			return fate{leave: true}
		}
		at, remove := n.plan.due(g, now)
		return fate{remove: remove && !now.Before(at), due: at}
	})
	if err != nil {
		return fmt.Errorf("change alert group: %w", err)
	}
	return nil
}

// all returns the rows of a kind, up to a number that no person would read.
func all(ctx context.Context, s State, kind Kind) ([]Row, error) {
	const page, most = 200, 5000
	var out []Row
	after := ""
	for len(out) < most {
		rows, err := s.List(ctx, kind, after, page)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
		if len(rows) < page {
			break
		}
		after = rows[len(rows)-1].ID
	}
	return out, nil
}
