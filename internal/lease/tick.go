package lease

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// plan is what one Tick does, worked out from one look at the table.
type plan struct {
	mine    []Held // to renew; Until is not set
	keep    int    // how many of mine are within the fair share
	free    []Held // to take, with the number found
	dead    []string
	missing []int // parts that have no row yet
}

// Tick shows that this member lives, renews what it holds, gives back what is
// beyond its fair share and not in use, and takes what is free. It wants to be
// called several times within the TTL. It reports whether parts were gained.
func (g *Group) Tick(ctx context.Context) (gained bool, err error) {
	// The lease runs from before the database looked at its clock.
	until := time.Now().Add(g.cfg.TTL)
	p, err := g.look(ctx)
	if err != nil {
		return false, err
	}
	if len(p.missing) > 0 {
		if err := g.create(ctx, p.missing); err != nil {
			return false, err
		}
		for _, i := range p.missing {
			p.free = append(p.free, Held{Part: i})
		}
		p.free = p.free[:min(len(p.free), max(0, p.keep-len(p.mine)))]
	}
	owned, err := g.renew(ctx, p)
	if err != nil {
		return false, err
	}
	gained = g.adopt(owned, p.keep, until)
	return gained, g.giveBack(ctx)
}

// look reads the whole group.
func (g *Group) look(ctx context.Context) (_ plan, err error) {
	query := "SELECT name, owner, fence, expires_at, " + g.now + " FROM " + g.cfg.Table + " WHERE name LIKE ? ORDER BY name"
	rows, err := g.cfg.DB.QueryContext(ctx, g.cfg.Dialect.Bind(query), g.cfg.Group+"/%")
	if err != nil {
		return plan{}, fmt.Errorf("read leases: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var p plan
	live := 1 // this member
	seen := make([]bool, g.cfg.Parts)
	for rows.Next() {
		var name, owner string
		var fence, expires, now int64
		if err := rows.Scan(&name, &owner, &fence, &expires, &now); err != nil {
			return plan{}, fmt.Errorf("read leases: %w", err)
		}
		kind, id, _ := strings.Cut(strings.TrimPrefix(name, g.cfg.Group+"/"), "/")
		switch kind {
		case "member":
			if id == g.cfg.Owner {
				continue
			}
			if expires > now {
				live++
			} else if expires < now-10*g.cfg.TTL.Microseconds() {
				p.dead = append(p.dead, name)
			}
		case "part":
			i, err := strconv.Atoi(id)
			if err != nil || i < 0 || i >= g.cfg.Parts {
				continue
			}
			seen[i] = true
			if owner == g.cfg.Owner {
				p.mine = append(p.mine, Held{Part: i, Fence: fence})
			} else if expires <= now {
				p.free = append(p.free, Held{Part: i, Fence: fence})
			}
		}
	}
	if err := rows.Err(); err != nil {
		return plan{}, fmt.Errorf("read leases: %w", err)
	}
	for i, ok := range seen {
		if !ok {
			p.missing = append(p.missing, i)
		}
	}
	p.keep = (g.cfg.Parts + live - 1) / live
	p.free = p.free[:min(len(p.free), max(0, p.keep-len(p.mine)))]
	return p, nil
}

// create adds the rows of parts, free. Several members may do so at once.
func (g *Group) create(ctx context.Context, parts []int) error {
	insert, tail := "INSERT INTO ", " ON CONFLICT DO NOTHING"
	if g.cfg.Dialect == sqldialect.MySQL {
		insert, tail = "INSERT IGNORE INTO ", ""
	}
	args := make([]any, 0, len(parts))
	for _, i := range parts {
		args = append(args, g.partName(i))
	}
	query := insert + g.cfg.Table + " (name, owner, fence, expires_at) VALUES " +
		strings.TrimSuffix(strings.Repeat("(?, '', 0, 0), ", len(parts)), ", ") + tail
	if _, err := g.cfg.DB.ExecContext(ctx, g.cfg.Dialect.Bind(query), args...); err != nil {
		return fmt.Errorf("create leases: %w", err)
	}
	return nil
}

// renew writes what p says and returns all that is owned then.
func (g *Group) renew(ctx context.Context, p plan) (owned []Held, err error) {
	tx, err := g.cfg.DB.BeginTx(ctx, g.cfg.Dialect.TxOptions())
	if err != nil {
		return nil, fmt.Errorf("renew leases: %w", err)
	}
	defer func() {
		if rbErr := tx.Rollback(); rbErr != nil && !errors.Is(rbErr, sql.ErrTxDone) && err != nil {
			err = errors.Join(err, rbErr)
		}
	}()
	if err := g.beat(ctx, tx, p.dead); err != nil {
		return nil, fmt.Errorf("renew leases: %w", err)
	}
	if owned, err = g.extend(ctx, tx, p.mine); err != nil {
		return nil, fmt.Errorf("renew leases: %w", err)
	}
	take := g.cfg.Dialect.Bind("UPDATE " + g.cfg.Table + " SET owner = ?, fence = fence + 1, expires_at = " + g.now +
		" + ? WHERE name = ? AND fence = ? AND expires_at <= " + g.now)
	for _, h := range p.free {
		res, err := tx.ExecContext(ctx, take, g.cfg.Owner, g.cfg.TTL.Microseconds(), g.partName(h.Part), h.Fence)
		if err != nil {
			return nil, fmt.Errorf("take lease: %w", err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 1 {
			owned = append(owned, Held{Part: h.Part, Fence: h.Fence + 1})
		}
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit leases: %w", err)
	}
	return owned, nil
}

// beat writes this member's own row and removes those of members long dead.
func (g *Group) beat(ctx context.Context, tx *sql.Tx, dead []string) error {
	tail := " ON CONFLICT (name) DO UPDATE SET expires_at = excluded.expires_at"
	if g.cfg.Dialect == sqldialect.MySQL {
		tail = " ON DUPLICATE KEY UPDATE expires_at = VALUES(expires_at)"
	}
	query := "INSERT INTO " + g.cfg.Table + " (name, owner, fence, expires_at) VALUES (?, ?, 0, " + g.now + " + ?)" + tail
	if _, err := tx.ExecContext(ctx, g.cfg.Dialect.Bind(query), g.memberName(), g.cfg.Owner, g.cfg.TTL.Microseconds()); err != nil {
		return err
	}
	for _, name := range dead {
		del := g.cfg.Dialect.Bind("DELETE FROM " + g.cfg.Table + " WHERE name = ? AND expires_at <= " + g.now)
		if _, err := tx.ExecContext(ctx, del, name); err != nil {
			return err
		}
	}
	return nil
}

// extend renews those of mine that are still owned and returns them.
func (g *Group) extend(ctx context.Context, tx *sql.Tx, mine []Held) ([]Held, error) {
	if len(mine) == 0 {
		return nil, nil
	}
	args := make([]any, 0, len(mine)+2)
	for _, h := range mine {
		args = append(args, g.partName(h.Part))
	}
	fences, err := g.owned(ctx, tx, append(slices.Clone(args), g.cfg.Owner))
	if err != nil {
		return nil, err
	}
	var owned []Held
	for _, h := range mine {
		if fence, ok := fences[g.partName(h.Part)]; ok && fence == h.Fence {
			owned = append(owned, h)
		}
	}
	query := "UPDATE " + g.cfg.Table + " SET expires_at = " + g.now + " + ? WHERE name IN (" + sqldialect.List(len(mine)) + ") AND owner = ?"
	args = append(append([]any{g.cfg.TTL.Microseconds()}, args...), g.cfg.Owner)
	_, err = tx.ExecContext(ctx, g.cfg.Dialect.Bind(query), args...)
	return owned, err
}

// adopt makes owned the local view and marks what is beyond keep.
func (g *Group) adopt(owned []Held, keep int, until time.Time) (gained bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.held
	g.held = make(map[int]*part, len(owned))
	for i, h := range owned {
		h.Until = until
		p := &part{Held: h, leaving: i >= keep}
		if old := before[h.Part]; old != nil && old.Fence == h.Fence {
			p.inUse = old.inUse
		} else {
			gained = true
		}
		g.held[h.Part] = p
	}
	return gained
}

// giveBack releases what is leaving and not in use.
func (g *Group) giveBack(ctx context.Context) error {
	g.mu.Lock()
	var out []Held
	for _, p := range g.held {
		if p.leaving && !p.inUse {
			out = append(out, p.Held)
		}
	}
	g.mu.Unlock()
	return g.release(ctx, out)
}

func (g *Group) release(ctx context.Context, held []Held) error {
	query := g.cfg.Dialect.Bind("UPDATE " + g.cfg.Table + " SET owner = '', expires_at = 0 WHERE name = ? AND owner = ? AND fence = ?")
	for _, h := range held {
		if _, err := g.cfg.DB.ExecContext(ctx, query, g.partName(h.Part), g.cfg.Owner, h.Fence); err != nil {
			return fmt.Errorf("release lease: %w", err)
		}
		g.Drop(h)
	}
	return nil
}

// Close gives everything back and ends the membership. Nothing must be in use.
func (g *Group) Close(ctx context.Context) error {
	query := g.cfg.Dialect.Bind("UPDATE " + g.cfg.Table + " SET owner = '', expires_at = 0 WHERE owner = ? AND name LIKE ?")
	if _, err := g.cfg.DB.ExecContext(ctx, query, g.cfg.Owner, g.cfg.Group+"/part/%"); err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	g.mu.Lock()
	clear(g.held)
	g.mu.Unlock()
	query = g.cfg.Dialect.Bind("DELETE FROM " + g.cfg.Table + " WHERE name = ?")
	if _, err := g.cfg.DB.ExecContext(ctx, query, g.memberName()); err != nil {
		return fmt.Errorf("end membership: %w", err)
	}
	return nil
}
