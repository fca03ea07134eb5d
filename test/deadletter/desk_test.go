package deadletter_test

import (
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/deadletter/deadlettertest"
	"github.com/sluicegate/sluicegate/test/place"
)

func harness(t *testing.T, d sqldialect.Dialect) deadlettertest.Harness {
	t.Helper()
	db := place.Open(t, d)
	return deadlettertest.Harness{DB: db.DB, Config: deadletter.SQLConfig{Prefix: db.Prefix}}
}

func TestTheTableOfLetters(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		deadlettertest.Run(t, func(t *testing.T) deadlettertest.Harness { return harness(t, d) })
	})
}

func TestTheDesk(t *testing.T) {
	place.EachDialect(t, func(t *testing.T, d sqldialect.Dialect) {
		t.Helper()
		deadlettertest.RunDesk(t, func(t *testing.T) deadlettertest.Harness { return harness(t, d) })
	})
}
