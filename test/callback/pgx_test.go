package callback_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/webhook"
	"github.com/sluicegate/sluicegate/test/place"
)

// A transaction of pgx's own carries the call, and decides about it.
func TestACallIsSubmittedInATransactionOfPgx(t *testing.T) {
	ts := place.Open(t, sqldialect.PostgreSQL)
	db := ts.Connect(t)
	box, err := forwarder.New(db, forwarder.Config{Prefix: ts.Prefix})
	place.Must(t, err)
	c, err := callback.New(db, box, callback.Config{Prefix: ts.Prefix, Keys: []string{webhook.NewSecret()}})
	place.Must(t, err)
	conn, err := pgx.Connect(t.Context(), ts.DSN)
	place.Must(t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, end := range []struct {
		number string
		finish func(pgx.Tx, context.Context) error
	}{{"committed", pgx.Tx.Commit}, {"rolled back", pgx.Tx.Rollback}} {
		tx, err := conn.Begin(t.Context())
		place.Must(t, err)
		number, err := c.Submit(t.Context(), pgxtx.Wrap(tx), callback.Call{URL: "https://copy.example/", Body: []byte{0, 1, 2}, Kind: end.number})
		place.Must(t, err)
		if _, err := c.Get(t.Context(), number); err == nil {
			t.Errorf("%s: it is there before the commit", end.number)
		}
		place.Must(t, end.finish(tx, t.Context()))
	}
	list, err := c.List(t.Context(), callback.Filter{})
	place.Must(t, err)
	if len(list) != 1 || list[0].Kind != "committed" {
		t.Errorf("there are %+v, want the committed one", list)
	}
	if v, err := c.Get(t.Context(), list[0].Number); err != nil || string(v.Body) != "\x00\x01\x02" {
		t.Errorf("its body is %q, %v", v.Body, err)
	}
}
