package callback_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/handlers/callback"
	"github.com/sluicegate/sluicegate/internal/webhook"
	"github.com/sluicegate/sluicegate/test/place"
)

// plain is a service as it is often written: a table of its own, and an endpoint that looks
// for the row.
type plain struct {
	db    *sql.DB
	table string
	known sync.Map // numbers of this process
	cache bool
}

// call writes the row and has the request sent within the transaction: first send,
// then commit.
func (p *plain) call(ctx context.Context, number string, send func()) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	p.known.Store(number, true)
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (number, status) VALUES ('%s', 'open')", p.table, number)); err != nil {
		return err
	}
	send()
	return tx.Commit()
}

// status looks once.
func (p *plain) status(ctx context.Context, number string) (string, error) {
	var status string
	err := p.db.QueryRowContext(ctx, fmt.Sprintf("SELECT status FROM %s WHERE number = '%s'", p.table, number)).Scan(&status)
	if errors.Is(err, sql.ErrNoRows) && p.cache {
		if _, ok := p.known.Load(number); ok {
			return "open", nil // it is ours: the row is about to be there
		}
	}
	return status, err
}

func newPlain(t *testing.T, ts *place.Database, cache bool) *plain {
	t.Helper()
	p := &plain{db: ts.Connect(t), table: ts.Prefix + "plain", cache: cache}
	_, err := p.db.Exec("CREATE TABLE IF NOT EXISTS " + p.table + " (number VARCHAR(64) PRIMARY KEY, status VARCHAR(16) NOT NULL)")
	place.Must(t, err)
	t.Cleanup(func() { _, _ = ts.Connect(t).Exec("DROP TABLE IF EXISTS " + p.table) })
	return p
}

const trapCalls = 20

// The trap: the service answers before the commit, and each callback is lost. A cache
// saves those that reach the same process, and none that reaches another.
func TestThePlainThingLosesCallbacksThatAreFasterThanItsCommit(t *testing.T) {
	place.Each(t, func(t *testing.T, ts *place.Database) {
		for name, test := range map[string]struct {
			cache, elsewhere bool
			lost             int
		}{
			"looks once": {false, false, trapCalls}, "cache, same node": {true, false, 0}, "cache, other node": {true, true, trapCalls},
		} {
			t.Run(name, func(t *testing.T) {
				a := newPlain(t, ts, test.cache)
				at := a
				if test.elsewhere {
					at = newPlain(t, ts, test.cache)
				}
				_, err := a.db.Exec("DELETE FROM " + a.table)
				place.Must(t, err)
				lost := 0
				for i := range trapCalls {
					number := fmt.Sprint("n", i)
					place.Must(t, a.call(t.Context(), number, func() {
						if _, err := at.status(t.Context(), number); errors.Is(err, sql.ErrNoRows) {
							lost++
						}
					}))
				}
				if lost != test.lost {
					t.Errorf("%d of %d callbacks were lost, want %d", lost, trapCalls, test.lost)
				}
			})
		}
	})
}

// The same here: nothing is lost, whichever node they reach.
func TestNoCallbackIsLostThatIsFasterThanTheCommit(t *testing.T) {
	place.Each(t, func(t *testing.T, ts *place.Database) {
		secret := webhook.NewSecret()
		db := ts.Connect(t)
		node := func() *callback.Caller {
			box, err := forwarder.New(db, forwarder.Config{Prefix: ts.Prefix})
			place.Must(t, err)
			c, err := callback.New(db, box, callback.Config{Prefix: ts.Prefix, Keys: []string{secret}, LookUpEvery: 20 * time.Millisecond})
			place.Must(t, err)
			return c
		}
		a, b := node(), node()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		defer func() {
			cancel()
			place.Must(t, <-ended)
		}()
		answers := map[string]int{}
		for i := range trapCalls {
			tx, err := db.BeginTx(ctx, ts.Dialect.TxOptions())
			place.Must(t, err)
			number := fmt.Sprint("n", i)
			_, err = a.Submit(ctx, tx, callback.Call{Number: number, URL: "https://copy.example/", SendDelay: time.Hour})
			place.Must(t, err)
			answers[post(t, []*callback.Caller{a, b}[i%2], secret, fmt.Sprintf(`{"number":%q,"status":"succeeded"}`, number))]++
			place.Must(t, tx.Commit())
		}
		if answers["202"] != trapCalls {
			t.Errorf("answered %v, want 202 to all", answers)
		}
		for deadline := time.Now().Add(30 * time.Second); ; {
			counts, err := a.Counts(ctx)
			place.Must(t, err)
			if counts[callback.Succeeded] == trapCalls {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("statuses %v, want all succeeded", counts)
			}
			<-time.After(20 * time.Millisecond)
		}
	})
}

func post(t *testing.T, c http.Handler, secret, body string) string {
	t.Helper()
	signer, err := webhook.NewSigner(secret)
	place.Must(t, err)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header, err = signer.Header("msg_1", time.Now(), []byte(body))
	place.Must(t, err)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return fmt.Sprint(w.Code)
}
