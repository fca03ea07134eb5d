package notify_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
	"github.com/sluicegate/sluicegate/handlers/notify"
	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

func TestANotificationIsOfAPgxTransaction(t *testing.T) {
	connect, prefix := database(t, sqldialect.PostgreSQL)
	n, err := notify.New(connect(), notify.Config{Prefix: prefix})
	must(t, err)
	pool, err := pgxpool.New(t.Context(), server(t, "POSTGRES_URL").String())
	must(t, err)
	defer pool.Close()
	failed := errors.New("no money")
	for _, end := range []error{failed, nil} {
		err := pgxtx.Runner(pool).InTx(t.Context(), func(ctx context.Context, tx dbtx.Tx) error {
			for i := range 2 { // twice in one transaction: known there already
				added, err := n.Enqueue(ctx, tx, notify.Notification{Target: "shop", ID: "order-1", Payload: []byte("{}")})
				if err != nil || added != (i == 0) {
					t.Errorf("%v, %v", added, err)
				}
			}
			_, err := n.Enqueue(ctx, tx, notify.Notification{Target: "shop", ID: "order-1", Payload: []byte("[]")})
			if !errors.Is(err, notify.ErrConflict) {
				t.Error(err)
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		_, err = n.Get(t.Context(), "shop", "order-1")
		if (err == nil) != (end == nil) {
			t.Errorf("after %v: %v", end, err)
		}
	}
}
