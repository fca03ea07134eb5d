package schema_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

// fading is a context that ends once it was asked so many times.
type fading struct {
	context.Context
	left atomic.Int64
	end  context.CancelFunc
}

func newFading(parent context.Context, asked int64) *fading {
	f := &fading{}
	f.Context, f.end = context.WithCancel(parent)
	f.left.Store(asked)
	return f
}

func (f *fading) Done() <-chan struct{} {
	if f.left.Add(-1) < 0 {
		f.end()
	}
	return f.Context.Done()
}

func (f *fading) Err() error {
	_ = f.Done()
	return f.Context.Err()
}

func TestARunThatIsCutOffLeavesNoTransactionBehind(t *testing.T) {
	for asked := int64(0); ; asked++ {
		db := sqlitetest.Open(t)
		f := newFading(t.Context(), asked)
		_, err := schema.Up(f, db, sqldialect.SQLite, sqldialect.Names{})
		f.end()
		if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatalf("cut off when the context was asked for the %dth time: %v", asked, err)
		}
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
		if err == nil {
			return
		}
	}
}
