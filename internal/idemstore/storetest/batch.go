package storetest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// BatchStore is a store with both ways to claim in a transaction, and the state
// machine that the cases need to prepare records.
type BatchStore interface {
	idemstore.Store
	idemstore.BatchTxStore
}

// RunBatch runs the cases about claims in batches on a store without records,
// whose clock advance moves.
func RunBatch(t *testing.T, db *sql.DB, opts *sql.TxOptions, store BatchStore, advance func(time.Duration)) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(b batch, t *testing.T)
	}{
		{"a batch of new keys wins them all, in the order asked for, and a second one finds them", batch.again},
		{"each record is answered as a claim of its own would be, or left to one", batch.states},
		{"what is parked is left to a claim of its own where it is to be resumed", batch.resume},
		{"a rollback leaves no record", batch.rollback},
		{"keys are kept whatever they hold", batch.odd},
		{"another fingerprint is left to a claim of its own", batch.fingerprint},
		{"what is no batch is refused", batch.refused},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(batch{db, opts, store, advance, t.Name()}, t) })
	}
}

type batch struct {
	db      *sql.DB
	opts    *sql.TxOptions
	store   BatchStore
	advance func(time.Duration)
	handler string // of this case alone
}

func (b batch) key(id string) idemstore.Key {
	return idemstore.Key{Handler: b.handler[max(0, len(b.handler)-idemstore.MaxKey):], ID: id}
}

func (b batch) claims(ids ...string) []idemstore.Claim {
	claims := make([]idemstore.Claim, len(ids))
	for i, id := range ids {
		claims[i] = idemstore.Claim{Key: b.key(id), Retention: long}
	}
	return claims
}

var errUndo = errors.New("undo")

func (b batch) claim(claims []idemstore.Claim, end error) (recs []idemstore.Record, err error) {
	err = dbtx.DB(b.db, b.opts).InTx(background, func(ctx context.Context, tx dbtx.Tx) error {
		if recs, err = b.store.ClaimBatchTx(ctx, tx, claims); err != nil {
			return err
		}
		return end
	})
	if end != nil && errors.Is(err, end) {
		err = nil
	}
	return recs, err
}

// want claims ids and checks the verdicts.
func (b batch) want(t *testing.T, claims []idemstore.Claim, want ...idemstore.Verdict) []idemstore.Record {
	t.Helper()
	recs, err := b.claim(claims, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]idemstore.Verdict, len(recs))
	for i, rec := range recs {
		got[i] = rec.Verdict
	}
	if !slices.Equal(got, want) {
		t.Fatalf("verdicts %v, want %v", got, want)
	}
	return recs
}

const undecided = idemstore.Verdict(0)

func (b batch) again(t *testing.T) {
	b.want(t, b.claims("m", "z", "a"), idemstore.Won, idemstore.Won, idemstore.Won)
	recs := b.want(t, b.claims("b", "z", "c", "m"), idemstore.Won, idemstore.Finished, idemstore.Won, idemstore.Finished)
	if recs[1].State != idemstore.Done || recs[0].Attempt != 1 {
		t.Fatalf("%+v", recs)
	}
	// A claim of its own finds what the batch has written.
	rec, err := b.store.Claim(background, idemstore.Claim{Key: b.key("a"), Token: "t", Lease: long})
	if err != nil || rec.Verdict != idemstore.Finished || rec.State != idemstore.Done {
		t.Fatalf("%+v, %v", rec, err)
	}
}

func (b batch) states(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"busy", "released", "short"} {
		_, err := b.store.Claim(background, idemstore.Claim{Key: b.key(id), Token: "t", Lease: long, Retention: long})
		must(err)
	}
	must(b.store.Release(background, b.key("released"), "t"))
	must(b.store.Complete(background, b.key("short"), "t", nil, time.Minute))
	for id, to := range map[string]idemstore.State{"parked": idemstore.Parked, "dead": idemstore.Dead} {
		must(b.store.Transition(background, b.key(id), idemstore.Transition{From: []idemstore.State{idemstore.Absent}, To: to}))
	}
	b.advance(2 * time.Minute)
	recs := b.want(t, b.claims("new", "busy", "parked", "released", "dead", "short"),
		idemstore.Won, undecided, idemstore.Finished, undecided, idemstore.Finished, undecided)
	if recs[2].State != idemstore.Parked || recs[4].State != idemstore.Dead {
		t.Fatalf("%+v", recs)
	}
}

func (b batch) resume(t *testing.T) {
	for id, to := range map[string]idemstore.State{"parked": idemstore.Parked, "resumed": idemstore.Parked, "dead": idemstore.Dead} {
		if err := b.store.Transition(background, b.key(id), idemstore.Transition{From: []idemstore.State{idemstore.Absent}, To: to}); err != nil {
			t.Fatal(err)
		}
	}
	held := idemstore.Claim{Key: b.key("resumed"), Token: "t", Lease: long, Retention: long, Resume: true}
	if rec, err := b.store.Claim(background, held); err != nil || rec.Verdict != idemstore.Won {
		t.Fatalf("%+v, %v", rec, err)
	}
	recs := b.want(t, b.claims("parked", "resumed", "dead"), idemstore.Finished, idemstore.Finished, idemstore.Finished)
	if recs[0].State != idemstore.Parked || recs[1].State != idemstore.Parked || recs[2].State != idemstore.Dead {
		t.Fatalf("%+v", recs)
	}
	claims := b.claims("parked", "resumed", "dead")
	for i := range claims {
		claims[i].Resume = true
	}
	b.want(t, claims, undecided, undecided, idemstore.Finished)
}

func (b batch) rollback(t *testing.T) {
	if _, err := b.claim(b.claims("a", "b"), errUndo); err != nil {
		t.Fatal(err)
	}
	b.want(t, b.claims("a", "b"), idemstore.Won, idemstore.Won)
}

func (b batch) odd(t *testing.T) {
	odd := []string{`"`, `\`, `{a,b}`, "'; --", "NULL", "é", "a", "A", "a ", " a", "\n", "<&>\u2028", "%s?$1", strings.Repeat("x", 300)}
	won := slices.Repeat([]idemstore.Verdict{idemstore.Won}, len(odd))
	b.want(t, b.claims(odd...), won...)
	b.want(t, b.claims(odd...), slices.Repeat([]idemstore.Verdict{idemstore.Finished}, len(odd))...)
}

func (b batch) fingerprint(t *testing.T) {
	with := func(mark string) []idemstore.Claim {
		claims := b.claims("a")
		claims[0].Fingerprint = mark
		return claims
	}
	b.want(t, with(`f"1`), idemstore.Won)
	b.want(t, with(`f"1`), idemstore.Finished)
	b.want(t, with(""), idemstore.Finished)
	b.want(t, with("f2"), undecided)
}

func (b batch) refused(t *testing.T) {
	twice := b.claims("a", "a")
	mixed := b.claims("a", "b")
	mixed[1].Key.Handler = "another"
	empty := b.claims("")
	for name, claims := range map[string][]idemstore.Claim{"a key twice": twice, "two handlers": mixed, "an empty key": empty} {
		if _, err := b.claim(claims, nil); !errors.Is(err, idemstore.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if recs, err := b.claim(nil, nil); err != nil || len(recs) != 0 {
		t.Errorf("no claims: %v, %v", recs, err)
	}
	if _, err := b.store.ClaimBatchTx(background, notSQL{}, b.claims("a")); !errors.Is(err, idemstore.ErrInvalid) {
		t.Errorf("another library's transaction: %v", err)
	}
}

type notSQL struct{ dbtx.Tx }
