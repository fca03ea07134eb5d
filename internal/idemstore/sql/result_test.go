package sql_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/sql"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
)

func TestAResultNeedsARecordOfItsTransaction(t *testing.T) {
	db := open(t)
	s := store(t, db, &clock{}, "")
	key := idemstore.Key{Handler: "h", ID: "x"}
	result := func() error {
		return dbtx.DB(db, nil).InTx(t.Context(), func(ctx context.Context, tx dbtx.Tx) error {
			return s.ResultTx(ctx, tx, key, []byte("r"))
		})
	}
	if err := result(); !errors.Is(err, idemstore.ErrLeaseLost) {
		t.Errorf("without a record: error %v, want ErrLeaseLost", err)
	}
	if _, err := s.Claim(t.Context(), idemstore.Claim{Key: key, Token: "other", Lease: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if err := result(); !errors.Is(err, idemstore.ErrLeaseLost) {
		t.Errorf("with a record that is claimed for a lease: error %v, want ErrLeaseLost", err)
	}
	if err := s.ResultTx(t.Context(), nil, idemstore.Key{}, nil); !errors.Is(err, idemstore.ErrInvalid) {
		t.Errorf("without a key: error %v, want ErrInvalid", err)
	}
}

// forgetful is a store that says it has kept a result.
type forgetful struct{ *sql.Store }

func (forgetful) ResultTx(context.Context, dbtx.Tx, idemstore.Key, []byte) error { return nil }

func TestTheSuiteCatchesAStoreThatForgetsResults(t *testing.T) {
	shared := open(t, "other_")
	const caught = "a duplicate receives the result byte by byte, nil and empty apart"
	failing := storetest.Failing(t, storetest.Harness{
		New: func(t *testing.T) storetest.Fixture {
			t.Helper()
			db, c := emptied(t, shared), &clock{}
			tx := storetest.Tx(db, nil, forgetful{store(t, db, c, "")})
			t.Cleanup(func() { _ = tx.Close() })
			return storetest.Fixture{Store: tx, Advance: c.advance}
		},
		Lacks: storetest.TxLacks,
	}, caught)
	if !slices.Contains(failing, caught) {
		t.Errorf("the case %q passes", caught)
	}
}
