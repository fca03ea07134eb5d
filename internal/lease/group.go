package lease

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// Config says what is shared and by whom.
type Config struct {
	DB      *sql.DB
	Dialect sqldialect.Dialect
	Table   string        // quoted and qualified
	Group   string        // letters and digits; groups do not see each other
	Owner   string        // unique among all processes and all times
	Parts   int           // 1 to 100
	TTL     time.Duration // how long a lease lasts without renewal
	Offset  time.Duration // added to the database's clock, for tests
}

// Held is a part that is owned.
type Held struct {
	Part  int
	Fence int64
	// Until is when the lease ends unless it is renewed, by the local monotonic
	// clock. It is never later than what the database says.
	Until time.Time
}

type part struct {
	Held
	inUse   bool
	leaving bool // beyond the fair share: given back when not in use
}

// Group is one member's view. Tick and Close must not run at the same time;
// everything else is safe for concurrent use.
type Group struct {
	cfg Config
	now string // the clock with the offset

	mu   sync.Mutex
	held map[int]*part
}

// New returns a member of a group. It does not touch the database.
func New(cfg Config) (*Group, error) {
	switch {
	case cfg.DB == nil || !cfg.Dialect.Valid() || cfg.Table == "":
		return nil, errors.New("lease: database, dialect and table are needed")
	case cfg.Group == "" || strings.ContainsAny(cfg.Group, `%_\/`):
		return nil, fmt.Errorf("lease: group %q: use letters and digits", cfg.Group)
	case cfg.Owner == "" || len(cfg.Owner) > 64:
		return nil, fmt.Errorf("lease: owner %q: use 1 to 64 characters", cfg.Owner)
	case cfg.Parts < 1 || cfg.Parts > 100 || cfg.TTL <= 0:
		return nil, errors.New("lease: 1 to 100 parts and a positive TTL are needed")
	}
	now := cfg.Dialect.Now()
	if cfg.Offset != 0 {
		now = fmt.Sprintf("(%s + (%d))", now, cfg.Offset.Microseconds())
	}
	return &Group{cfg: cfg, now: now, held: map[int]*part{}}, nil
}

func (g *Group) partName(i int) string { return fmt.Sprintf("%s/part/%02d", g.cfg.Group, i) }

func (g *Group) memberName() string { return g.cfg.Group + "/member/" + g.cfg.Owner }

// Borrow marks as in use, and returns in order, the parts that match, are not to
// be given back, and whose lease lasts at least for left.
func (g *Group) Borrow(match func(part int) bool, left time.Duration) []Held {
	limit := time.Now().Add(left)
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Held
	for i, p := range g.held {
		if match(i) && !p.leaving && !p.inUse && p.Until.After(limit) {
			p.inUse = true
			out = append(out, p.Held)
		}
	}
	slices.SortFunc(out, func(a, b Held) int { return cmp.Compare(a.Part, b.Part) })
	return out
}

// Return ends the use of borrowed parts. It reports whether any of them should
// be given back by the next Tick.
func (g *Group) Return(held []Held) (leaving bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range held {
		if p := g.held[h.Part]; p != nil && p.Fence == h.Fence {
			p.inUse = false
			leaving = leaving || p.leaving
		}
	}
	return leaving
}

// Drop forgets a part that turned out to have another owner.
func (g *Group) Drop(h Held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.held[h.Part]; p != nil && p.Fence == h.Fence {
		delete(g.held, h.Part)
	}
}

// Count returns how many parts are held.
func (g *Group) Count() int {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, p := range g.held {
		if p.Until.After(now) {
			n++
		}
	}
	return n
}

// Owns reports whether a part is held.
func (g *Group) Owns(part int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.held[part]
	return p != nil && p.Until.After(time.Now())
}

// Until returns when the lease of h, as renewed since, ends. It is the zero
// time where the part is not held any more.
func (g *Group) Until(h Held) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.held[h.Part]; p != nil && p.Fence == h.Fence {
		return p.Until
	}
	return time.Time{}
}

// Leaving reports whether h is beyond this member's fair share: it is given back
// by the first Tick that finds it returned.
func (g *Group) Leaving(h Held) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.held[h.Part]
	return p != nil && p.Fence == h.Fence && p.leaving
}

// Verify locks the rows of held until tx ends and returns the parts among them
// that have another owner by now.
func (g *Group) Verify(ctx context.Context, tx *sql.Tx, held []Held) (stale []Held, err error) {
	if len(held) == 0 {
		return nil, nil
	}
	args := make([]any, 0, len(held)+1)
	for _, h := range held {
		args = append(args, g.partName(h.Part))
	}
	owned, err := g.owned(ctx, tx, append(args, g.cfg.Owner))
	if err != nil {
		return nil, fmt.Errorf("verify leases: %w", err)
	}
	for _, h := range held {
		if fence, ok := owned[g.partName(h.Part)]; !ok || fence != h.Fence {
			stale = append(stale, h)
		}
	}
	return stale, nil
}

// owned locks, in one order for everybody, and returns the rows that this
// member owns. The last of args is the owner, the others are names.
func (g *Group) owned(ctx context.Context, tx *sql.Tx, args []any) (_ map[string]int64, err error) {
	query := "SELECT name, owner, fence FROM " + g.cfg.Table + " WHERE name IN (" + sqldialect.List(len(args)-1) + ") ORDER BY name"
	if g.cfg.Dialect != sqldialect.SQLite { // where a writer locks the whole file
		query += " FOR UPDATE"
	}
	me, _ := args[len(args)-1].(string)
	rows, err := tx.QueryContext(ctx, g.cfg.Dialect.Bind(query), args[:len(args)-1]...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	out := map[string]int64{}
	for rows.Next() {
		var name, owner string
		var fence int64
		if err := rows.Scan(&name, &owner, &fence); err != nil {
			return nil, err
		}
		if owner == me {
			out[name] = fence
		}
	}
	return out, rows.Err()
}
