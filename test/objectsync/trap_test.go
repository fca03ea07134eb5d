package objectsync_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// trap is one product in a database and a bucket, changed by what people write by hand, and
// by a Syncer.
type trap struct {
	t      *testing.T
	db     *database
	s3     *s3
	store  objectsync.Store
	syncer *objectsync.Syncer
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	x := &trap{t: t, db: open(t, sqldialect.SQLite), s3: startS3(t)}
	var err error
	x.store, err = bucketAt(x.s3.URL, false)
	must(t, err)
	x.syncer, err = x.db.syncer(x.store)
	must(t, err)
	x.db.exec(t, "INSERT INTO "+x.db.table+" (id, name, version) VALUES ('1', 'lamp', 1)")
	_, err = x.syncer.Sync(t.Context(), "1")
	must(t, err)
	return x
}

// row is what a publisher by hand reads and later writes.
func (x *trap) row() product {
	x.t.Helper()
	o, err := x.db.load(x.t.Context(), x.db.DB, "1")
	must(x.t, err)
	p, _ := o.Body.(product)
	return p
}

func (x *trap) write(name string) {
	x.db.exec(x.t, "UPDATE "+x.db.table+" SET name = ?, version = version + 1", name)
}

// object returns the bytes in the store, "" where there is none.
func (x *trap) object() string {
	x.t.Helper()
	b, _, err := x.store.Get(x.t.Context(), "products/1.json")
	if errors.Is(err, objectsync.ErrNotFound) {
		return ""
	}
	must(x.t, err)
	return string(b.Body)
}

// byHand publishes as the scenario tells: delete, then upload, three tries.
func (x *trap) byHand(p product) error {
	ctx := x.t.Context()
	if err := x.store.Delete(ctx, "products/1.json"); err != nil {
		return err
	}
	return x.putByHand(ctx, p)
}

func (x *trap) putByHand(ctx context.Context, p product) (err error) {
	body, err := json.Marshal(p)
	must(x.t, err)
	for range 3 {
		if _, err = x.store.Put(ctx, "products/1.json", objectsync.Blob{Body: body}); err == nil {
			return nil
		}
	}
	return err
}

// puts has every PUT refused, or lets them through.
func (x *trap) refusePuts(yes bool) {
	x.s3.with(func(s *s3) { s.refusePuts = yes })
}

func TestTrapDeleteFirstLosesTheObjectWhereTheUploadFails(t *testing.T) {
	x := newTrap(t)
	x.write("better lamp")
	x.refusePuts(true)
	if err := x.byHand(x.row()); err == nil {
		t.Fatal("the upload should have failed")
	}
	if got := x.object(); got != "" {
		t.Fatalf("by hand: %s is still there: the trap is gone", got)
	}

	x = newTrap(t)
	before := x.object()
	x.write("better lamp")
	x.refusePuts(true)
	res, err := x.syncer.Sync(t.Context(), "1")
	must(t, err)
	if got := x.object(); res[0].Err == nil || got != before {
		t.Errorf("ours: %+v, the object is %q", res[0], got)
	}
	x.refusePuts(false)
	x.heals()
}

func TestTrapTheLastSubmissionWins(t *testing.T) {
	x := newTrap(t)
	old := x.row()
	x.write("better lamp")
	must(t, x.putByHand(t.Context(), x.row()))
	must(t, x.putByHand(t.Context(), old)) // an older message comes later
	if diff, err := x.db.difference(t.Context(), x.store); err != nil || diff == "" {
		t.Fatalf("by hand the newer one stayed: the trap is gone (%v)", err)
	}

	x = newTrap(t)
	x.mark()
	x.write("better lamp")
	x.mark()
	_, err := x.syncer.Sync(t.Context(), "1")
	must(t, err)
	x.mark() // an older message comes later
	x.heals()
}

func TestTrapAMarkAfterTheCommitIsForgottenByACrash(t *testing.T) {
	x := newTrap(t)
	x.write("better lamp")
	// Here the process dies: what was to be uploaded after the commit is known to nobody.
	if diff, err := x.db.difference(t.Context(), x.store); err != nil || diff == "" {
		t.Fatalf("by hand: %v", err)
	}

	x = newTrap(t)
	must(t, x.inTx(func(tx *sql.Tx) error {
		if _, err := tx.Exec("UPDATE " + x.db.table + " SET name = 'better lamp', version = version + 1"); err != nil {
			return err
		}
		return x.syncer.Mark(t.Context(), tx, "1")
	}))
	// Another process finds the mark.
	var err error
	x.syncer, err = x.db.syncer(x.store)
	must(t, err)
	x.heals()
}

func (x *trap) mark() {
	x.t.Helper()
	must(x.t, x.inTx(func(tx *sql.Tx) error { return x.syncer.Mark(x.t.Context(), tx, "1") }))
}

func (x *trap) inTx(fn func(tx *sql.Tx) error) error {
	tx, err := x.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// heals runs the Syncer until the object is that of the row.
func (x *trap) heals() {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- x.syncer.Run(ctx) }()
	for ctx.Err() == nil {
		counts, err := x.syncer.Counts(ctx)
		must(x.t, err)
		if counts[objectsync.Pending] == 0 {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	if diff, err := x.db.difference(x.t.Context(), x.store); err != nil || diff != "" {
		x.t.Errorf("ours: %s %v", diff, err)
	}
	cancel()
	must(x.t, <-ended)
}
