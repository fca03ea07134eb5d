package deadletter_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
	"github.com/sluicegate/sluicegate/middleware/deadletter"
	"github.com/sluicegate/sluicegate/middleware/deadletter/deadlettertest"
)

func migrated(t *testing.T) *sql.DB {
	t.Helper()
	return sqlitetest.Migrate(t, sqlitetest.Durable(t))
}

func TestSQLite(t *testing.T) {
	deadlettertest.Run(t, func(t *testing.T) deadlettertest.Harness {
		t.Helper()
		return deadlettertest.Harness{DB: migrated(t)}
	})
}

func TestWithoutTheTableTheMessageIsNotAcked(t *testing.T) {
	store, err := deadletter.SQL(sqlitetest.Durable(t), deadletter.SQLConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrap(t, store, deadletter.Config{}, failing(errBoom))(message.NewMessage("1", nil)); err == nil {
		t.Fatal("want the message back")
	}
}

func TestTheTableOfTheConfiguredPrefixIsUsed(t *testing.T) {
	db := migrated(t)
	if _, err := schema.Up(t.Context(), db, sqldialect.SQLite, sqldialect.Names{Prefix: "other_"}); err != nil {
		t.Fatal(err)
	}
	other, err := deadletter.SQL(db, deadletter.SQLConfig{Prefix: "other_"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Put(t.Context(), letter()); err != nil {
		t.Fatal(err)
	}
	var ours, theirs int
	if err := db.QueryRow("SELECT (SELECT COUNT(*) FROM sluicegate_dead_letter), (SELECT COUNT(*) FROM other_dead_letter)").Scan(&ours, &theirs); err != nil || ours != 0 || theirs != 1 {
		t.Fatal(ours, theirs, err)
	}
}

func TestInvalidSQLValuesAreReportedTogetherByField(t *testing.T) {
	_, err := deadletter.SQL(nil, deadletter.SQLConfig{Dialect: 9, Prefix: "drop table;"})
	for _, field := range []string{"db", "SQLConfig.Dialect", "SQLConfig.Prefix"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	if _, err := deadletter.SQL(sqlitetest.Durable(t), deadletter.SQLConfig{Schema: "s"}); err == nil || !strings.Contains(err.Error(), "SQLConfig.Schema") {
		t.Error(err)
	}
}

func TestTheDeskOnSQLite(t *testing.T) {
	deadlettertest.RunDesk(t, func(t *testing.T) deadlettertest.Harness {
		t.Helper()
		return deadlettertest.Harness{DB: migrated(t)}
	})
}

// exampleDB is migrated for an example, which has no test.
func exampleDB() (db *sql.DB, tidy func()) {
	dir, err := os.MkdirTemp("", "deadletter")
	if err != nil {
		panic(err)
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "test.db")+"?_txlock=immediate")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := schema.Up(context.Background(), db, sqldialect.SQLite, sqldialect.Names{}); err != nil {
		panic(err)
	}
	return db, func() { _, _ = db.Close(), os.RemoveAll(dir) }
}
