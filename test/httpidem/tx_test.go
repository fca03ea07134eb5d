package httpidem_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluicegate/sluicegate/forwarder/pgxtx"
	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// place writes an order in the transaction of the request.
func place(db *database) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tx, _ := httpidem.Native[*sql.Tx](r.Context())
		body, _ := io.ReadAll(r.Body)
		number := byTenant(r) + r.Header.Get("Idempotency-Key") + string(body)
		if _, err := tx.ExecContext(r.Context(), db.insert(), number, byTenant(r)); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(number))
	})
}

func guardTx(t *testing.T, db *database, wrap func(httpidem.Runner) httpidem.Runner) *httpidem.Idempotency {
	t.Helper()
	guard, err := httpidem.NewTx(wrap(httpidem.DB(db.DB, db.dialect.TxOptions())), db.store(t), httpidem.Config{Scope: byTenant})
	must(t, err)
	return guard
}

func asItIs(r httpidem.Runner) httpidem.Runner { return r }

func TestFiftyEqualRequestsInTransactionsHaveOneEffect(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *database) {
		t.Helper()
		h := guardTx(t, db, asItIs).Middleware(place(db))
		wantOne(t, together(func() *httptest.ResponseRecorder { return send(h, "a", "k", "", "lamp") }))
		if n := db.orders(t); n != 1 {
			t.Fatalf("%d orders, want 1", n)
		}
		if w := send(h, "a", "k", "", "chair"); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("another body: status %d", w.Code)
		}
		if w := send(h, "b", "k", "", "lamp"); w.Code != http.StatusCreated || w.Body.String() != "bklamp" {
			t.Errorf("another tenant: status %d, body %s", w.Code, w.Body)
		}
	})
}

// killed is a Runner whose process dies before or after its first commit.
type killed struct {
	httpidem.Runner
	after bool
	dead  *bool
}

var errKilled = errors.New("killed")

func (k killed) InTx(ctx context.Context, fn func(context.Context, httpidem.Tx) error) error {
	if *k.dead {
		return k.Runner.InTx(ctx, fn)
	}
	*k.dead = true
	err := k.Runner.InTx(ctx, func(ctx context.Context, tx httpidem.Tx) error {
		if err := fn(ctx, tx); err != nil || k.after {
			return err
		}
		return errKilled
	})
	return errors.Join(err, errKilled)
}

func TestAKillBeforeOrAfterTheCommitLeavesOneOrderAndNoLease(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *database) {
		t.Helper()
		for key, after := range map[string]bool{"before": false, "after": true} {
			h := guardTx(t, db, func(r httpidem.Runner) httpidem.Runner { return killed{r, after, new(bool)} }).Middleware(place(db))
			orders := db.orders(t)
			if w := send(h, "a", key, "", "lamp"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "outcome-unknown") {
				t.Errorf("%s: status %d, body %s", key, w.Code, w.Body)
			}
			w := send(h, "a", key, "", "lamp")
			if replayed := w.Header().Get("Idempotency-Replayed") != ""; w.Code != http.StatusCreated || replayed != after {
				t.Errorf("%s: status %d, replayed %v", key, w.Code, replayed)
			}
			if n := db.orders(t) - orders; n != 1 {
				t.Errorf("%s: %d orders, want 1", key, n)
			}
		}
	})
}

// A handler that answers well after its statement has failed has its transaction
// aborted by PostgreSQL: that is found before the commit, and not told as a success.
func TestASuccessOnAnAbortedTransactionIsNoSuccess(t *testing.T) {
	db := open(t, sqldialect.PostgreSQL)
	h := guardTx(t, db, asItIs).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tx, _ := httpidem.Native[*sql.Tx](r.Context())
		_, err := tx.ExecContext(r.Context(), "SELECT nonsense")
		if err == nil {
			t.Error("nonsense was taken")
		}
		w.WriteHeader(http.StatusCreated)
	}))
	if w := send(h, "a", "k", "", "lamp"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
}

func TestAUniqueIndexGivesTheRowThatIsThere(t *testing.T) {
	eachDatabase(t, func(t *testing.T, db *database) {
		t.Helper()
		ctx := t.Context()
		_, err := db.ExecContext(ctx, db.insert(), "n-1", "first")
		must(t, err)
		tx, err := db.BeginTx(ctx, nil)
		must(t, err)
		defer func() { _ = tx.Rollback() }()
		load := func(ctx context.Context) (customer string, err error) {
			query := db.dialect.Bind("SELECT customer FROM " + db.prefix + "orders WHERE number = ?")
			return customer, tx.QueryRowContext(ctx, query, "n-1").Scan(&customer)
		}
		customer, existed, err := httpidem.OnConflict(ctx, httpidem.SQL(tx), func(ctx context.Context) (string, error) {
			_, err := tx.ExecContext(ctx, db.insert(), "n-1", "second")
			return "second", err
		}, load)
		if customer != "first" || !existed || err != nil {
			t.Fatalf("%q, %v, %v", customer, existed, err)
		}
		// The transaction is fit for more, and commits.
		_, err = tx.ExecContext(ctx, db.insert(), "n-2", "second")
		must(t, err)
		must(t, tx.Commit())
		if n := db.orders(t); n != 2 {
			t.Errorf("%d orders, want 2", n)
		}
	})
}

// The trap: without a savepoint, PostgreSQL refuses to load the row.
func TestWithoutASavepointPostgreSQLRefusesToLoadTheRow(t *testing.T) {
	db := open(t, sqldialect.PostgreSQL)
	_, err := db.Exec(db.insert(), "n-1", "first")
	must(t, err)
	tx, err := db.Begin()
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(db.insert(), "n-1", "second"); err == nil {
		t.Fatal("the index let it through")
	}
	var customer string
	err = tx.QueryRow("SELECT customer FROM " + db.prefix + "orders WHERE number = 'n-1'").Scan(&customer)
	var state interface{ SQLState() string }
	if !errors.As(err, &state) || state.SQLState() != "25P02" {
		t.Errorf("%q, %v; want an aborted transaction", customer, err)
	}
}

// A snapshot that is older than the row does not show it; a locking read does.
func TestARowThatIsYoungerThanTheSnapshotIsLoadedByALockingRead(t *testing.T) {
	db, ctx := open(t, sqldialect.MySQL), t.Context()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	var n int
	must(t, tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+db.prefix+"orders").Scan(&n)) // takes the snapshot
	_, err = db.ExecContext(ctx, db.insert(), "n-1", "first")
	must(t, err)
	insert := func(ctx context.Context) (string, error) {
		_, err := tx.ExecContext(ctx, db.insert(), "n-1", "second")
		return "second", err
	}
	for suffix, found := range map[string]bool{"": false, "LOCK IN SHARE MODE": true} {
		customer, existed, err := httpidem.OnConflict(ctx, httpidem.SQL(tx), insert, func(ctx context.Context) (customer string, err error) {
			return customer, tx.QueryRowContext(ctx, "SELECT customer FROM "+db.prefix+"orders WHERE number = 'n-1' "+suffix).Scan(&customer)
		})
		if existed != found || errors.Is(err, sql.ErrNoRows) == found || (found && customer != "first") {
			t.Errorf("%q: %q, %v, %v", suffix, customer, existed, err)
		}
	}
}

// With pgx, the handler's transaction is pgx's own.
func TestAHandlerOnPgx(t *testing.T) {
	db := open(t, sqldialect.PostgreSQL)
	pool, err := pgxpool.New(t.Context(), server(t, "POSTGRES_URL").String())
	must(t, err)
	defer pool.Close()
	guard, err := httpidem.NewTx(pgxtx.Runner(pool), db.store(t), httpidem.Config{Scope: byTenant})
	must(t, err)
	h := guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tx, _ := httpidem.Native[pgx.Tx](r.Context())
		if _, err := tx.Exec(r.Context(), db.insert(), "n-1", "pgx"); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	wantOne(t, together(func() *httptest.ResponseRecorder { return send(h, "a", "k", "", "lamp") }))
	if n := db.orders(t); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
}
