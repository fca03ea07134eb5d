// Package schema_test applies the migrations to real servers.
package schema_test

import (
	"context"
	"net/url"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

func TestUpAtOnceWhereTransactionsKeepTheirFirstSnapshot(t *testing.T) {
	driver, dsn := place.Address(t, sqldialect.PostgreSQL)
	u, err := url.Parse(dsn)
	place.Must(t, err)
	q := u.Query()
	q.Set("default_transaction_isolation", "repeatable read")
	u.RawQuery = q.Encode()
	db := place.OpenAt(t, sqldialect.PostgreSQL, driver, u.String())
	names := db.Names()
	db.Do(t, "DROP TABLE "+db.Table("migration")) // as if they had never been applied
	errs := make(chan error)
	const processes = 6
	for range processes {
		go func() {
			_, err := schema.Up(context.Background(), db.DB, sqldialect.PostgreSQL, names)
			errs <- err
		}()
	}
	for range processes {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
