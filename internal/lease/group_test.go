package lease_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/lease"
	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

type fixture struct {
	t  *testing.T
	db *sql.DB
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "x.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		t.Fatal(err)
	}
	return fixture{t, db}
}

func (f fixture) member(owner string, parts int, offset time.Duration) *lease.Group {
	f.t.Helper()
	g, err := lease.New(lease.Config{
		DB: f.db, Dialect: sqldialect.SQLite, Table: `"sluicegate_lease"`, Group: "g", Owner: owner,
		Parts: parts, TTL: time.Hour, Offset: offset,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return g
}

func (f fixture) tick(gs ...*lease.Group) {
	f.t.Helper()
	for _, g := range gs {
		if _, err := g.Tick(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
	}
}

// stale returns what Verify says of held.
func (f fixture) stale(g *lease.Group, held []lease.Held) int {
	f.t.Helper()
	tx, err := f.db.Begin()
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	stale, err := g.Verify(f.t.Context(), tx, held)
	if err != nil {
		f.t.Fatal(err)
	}
	return len(stale)
}

func all(int) bool { return true }

func TestOnePartHasOneOwner(t *testing.T) {
	f := newFixture(t)
	a, b := f.member("a", 8, 0), f.member("b", 8, 0)
	f.tick(a, b, a, b, a)
	if a.Count() != 4 || b.Count() != 4 {
		t.Fatalf("a has %d, b has %d, want 4 and 4", a.Count(), b.Count())
	}
	seen := map[int]bool{}
	for _, h := range append(a.Borrow(all, 0), b.Borrow(all, 0)...) {
		if seen[h.Part] {
			t.Errorf("part %d has two owners", h.Part)
		}
		seen[h.Part] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d parts are owned, want 8", len(seen))
	}
}

func TestAPartInUseIsNotGivenBack(t *testing.T) {
	f := newFixture(t)
	a, b := f.member("a", 4, 0), f.member("b", 4, 0)
	f.tick(a)
	held := a.Borrow(all, 0)
	f.tick(b, a, a, b)
	if b.Count() != 0 || f.stale(a, held) != 0 {
		t.Fatalf("b took %d parts that a was using", b.Count())
	}
	if !a.Return(held) {
		t.Error("Return does not say that parts are to be given back")
	}
	f.tick(a, b)
	if a.Count() != 2 || b.Count() != 2 {
		t.Errorf("a has %d, b has %d, want 2 and 2", a.Count(), b.Count())
	}
}

func TestAnExpiredPartIsTakenWithAHigherNumberAndTheFormerOwnerIsStale(t *testing.T) {
	f := newFixture(t)
	a := f.member("a", 2, 0)
	f.tick(a)
	held := a.Borrow(all, 0)
	late := f.member("b", 2, 2*time.Hour) // whose clock is past a's leases
	f.tick(late)
	taken := late.Borrow(all, 0)
	if len(taken) != 2 || taken[0].Fence <= held[0].Fence {
		t.Fatalf("taken %v after %v", taken, held)
	}
	if n := f.stale(a, held); n != 2 {
		t.Errorf("%d of the former owner's parts are stale, want 2", n)
	}
	if n := f.stale(late, taken); n != 0 {
		t.Errorf("%d of the new owner's parts are stale, want 0", n)
	}
	a.Return(held)
	f.tick(a)
	if a.Count() != 0 || f.stale(late, taken) != 0 {
		t.Error("the former owner's renewal took parts back that have another owner")
	}
}

func TestAnExpiredPartThatNobodyTookIsStillOwned(t *testing.T) {
	f := newFixture(t)
	a := f.member("a", 2, 0)
	f.tick(a)
	held := a.Borrow(all, 0)
	if _, err := f.db.Exec("UPDATE sluicegate_lease SET expires_at = 1 WHERE name LIKE 'g/part/%'"); err != nil {
		t.Fatal(err)
	}
	if n := f.stale(a, held); n != 0 {
		t.Errorf("%d parts are stale though nobody took them", n)
	}
}

func TestCloseGivesEverythingBackAtOnce(t *testing.T) {
	f := newFixture(t)
	a, b := f.member("a", 4, 0), f.member("b", 4, 0)
	f.tick(a)
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.tick(b)
	if a.Count() != 0 || b.Count() != 4 {
		t.Errorf("a has %d, b has %d, want 0 and 4", a.Count(), b.Count())
	}
}

func TestALeaseThatRunsLowIsNotLent(t *testing.T) {
	f := newFixture(t)
	a := f.member("a", 1, 0)
	f.tick(a)
	if held := a.Borrow(all, 2*time.Hour); len(held) != 0 {
		t.Error("a lease of an hour was lent for two")
	}
	if held := a.Borrow(all, time.Minute); len(held) != 1 {
		t.Error("a fresh lease was not lent")
	}
	if held := a.Borrow(all, 0); len(held) != 0 {
		t.Error("a part in use was lent again")
	}
}

func TestMembersLongDeadAreRemoved(t *testing.T) {
	f := newFixture(t)
	f.tick(f.member("a", 1, 0))
	f.tick(f.member("b", 1, 100*time.Hour))
	var n int
	if err := f.db.QueryRow("SELECT COUNT(*) FROM sluicegate_lease WHERE name = 'g/member/a'").Scan(&n); err != nil || n != 0 {
		t.Errorf("the dead member's row is still there (%v)", err)
	}
}

func TestACancelledTickChangesNothing(t *testing.T) {
	f := newFixture(t)
	a := f.member("a", 2, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Tick(ctx); err == nil {
		t.Error("Tick on a cancelled context succeeded")
	}
	if a.Count() != 0 {
		t.Error("parts are held after a failed Tick")
	}
}
