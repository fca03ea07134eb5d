package httpidem_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/sqlstore"
)

// shop is a database with orders, behind NewTx.
type shop struct {
	*sql.DB
	guard *httpidem.Idempotency
}

func newShop(t *testing.T, change func(*httpidem.Config), wrap func(httpidem.Runner) httpidem.Runner) *shop {
	t.Helper()
	db := sqlite(t)
	_, err := db.Exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, body TEXT NOT NULL, fence INTEGER NOT NULL)")
	must(t, err)
	store, err := sqlstore.New(db, sqlstore.Config{})
	must(t, err)
	cfg := httpidem.Config{Scope: byTenant}
	if change != nil {
		change(&cfg)
	}
	runner := httpidem.DB(db, nil)
	if wrap != nil {
		runner = wrap(runner)
	}
	guard, err := httpidem.NewTx(runner, store, cfg)
	must(t, err)
	return &shop{db, guard}
}

// place writes an order in the transaction of the request, and answers as then says.
func place(t *testing.T, then func(w http.ResponseWriter, r *http.Request, id int64)) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tx, ok := httpidem.Native[*sql.Tx](r.Context())
		if !ok {
			t.Error("no transaction")
			return
		}
		body, err := io.ReadAll(r.Body)
		must(t, err)
		fence, _ := httpidem.Fence(r.Context())
		res, err := tx.ExecContext(r.Context(), "INSERT INTO orders (body, fence) VALUES (?, ?)", string(body), fence)
		must(t, err)
		id, err := res.LastInsertId()
		must(t, err)
		then(w, r, id)
	})
}

func placed(w http.ResponseWriter, _ *http.Request, id int64) {
	w.Header().Set("Location", "/orders/"+itoa(int(id)))
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"id":`+itoa(int(id))+`}`)
}

func (s *shop) wantOrders(t *testing.T, want int) {
	t.Helper()
	var n int
	must(t, s.QueryRow("SELECT COUNT(*) FROM orders").Scan(&n))
	if n != want {
		t.Fatalf("%d orders, want %d", n, want)
	}
}

func TestEffectRecordAndResponseCommitTogether(t *testing.T) {
	s := newShop(t, nil, nil)
	h := s.guard.Middleware(place(t, placed))
	var wg sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 50)
	for i := range answers {
		wg.Go(func() { answers[i] = call{key: "k"}.to(h) })
	}
	wg.Wait()
	fresh := 0
	for _, w := range answers {
		if w.Code == http.StatusConflict {
			continue
		}
		wantStatus(t, w, http.StatusCreated)
		if w.Body.String() != `{"id":1}` || w.Header().Get("Location") != "/orders/1" {
			t.Errorf("%s, %v", w.Body, w.Header())
		}
		if w.Header().Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d fresh responses, want 1", fresh)
	}
	s.wantOrders(t, 1)
	wantProblem(t, call{key: "k", body: "other"}.to(h), http.StatusUnprocessableEntity, "idempotency-key-reused")
	wantReplay(t, call{key: "k", tenant: "b"}.to(h), false)
	s.wantOrders(t, 2)
}

func TestWhatIsNotStoredIsRolledBack(t *testing.T) {
	for name, end := range map[string]func(w http.ResponseWriter, r *http.Request, id int64){
		"a 500": func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(http.StatusInternalServerError) },
		"a 429": func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(http.StatusTooManyRequests) },
		"not executed": func(w http.ResponseWriter, r *http.Request, _ int64) {
			httpidem.NotExecuted(r.Context())
			w.WriteHeader(http.StatusUnprocessableEntity)
		},
		"a panic": func(http.ResponseWriter, *http.Request, int64) { panic("on the way") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, nil, nil)
			func() {
				defer func() { _ = recover() }()
				call{key: "k", body: "first"}.to(s.guard.Middleware(place(t, end)))
			}()
			s.wantOrders(t, 0)
			w := call{key: "k", body: "second"}.to(s.guard.Middleware(place(t, placed)))
			wantStatus(t, w, http.StatusCreated)
			wantReplay(t, w, false)
			s.wantOrders(t, 1)
		})
	}
}

func TestARefusalIsCommittedWithWhatTheHandlerWrote(t *testing.T) {
	s := newShop(t, nil, nil)
	h := s.guard.Middleware(place(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(http.StatusPaymentRequired) }))
	wantStatus(t, call{key: "k"}.to(h), http.StatusPaymentRequired)
	again := call{key: "k"}.to(h)
	wantStatus(t, again, http.StatusPaymentRequired)
	wantReplay(t, again, true)
	s.wantOrders(t, 1)
}

// failing is a Runner whose commit fails: with or without its effect being there.
type failing struct {
	httpidem.Runner
	after bool // the transaction commits, and the answer is lost
	once  *bool
}

var errLost = errors.New("connection lost to secret-host")

func (f failing) InTx(ctx context.Context, fn func(context.Context, httpidem.Tx) error) error {
	if *f.once {
		return f.Runner.InTx(ctx, fn)
	}
	*f.once = true
	err := f.Runner.InTx(ctx, func(ctx context.Context, tx httpidem.Tx) error {
		if err := fn(ctx, tx); err != nil || f.after {
			return err
		}
		return errLost // the process is killed before the commit
	})
	if err == nil {
		err = errLost
	}
	return err
}

func TestAKillBeforeOrAfterTheCommitLeavesOneOrder(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t, nil, func(r httpidem.Runner) httpidem.Runner { return failing{r, after, new(bool)} })
			h := s.guard.Middleware(place(t, placed))
			w := call{key: "k"}.to(h)
			wantProblem(t, w, http.StatusServiceUnavailable, "outcome-unknown")
			if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%v, %s", w.Header(), w.Body)
			}
			again := call{key: "k"}.to(h) // at once: no lease is left behind
			wantStatus(t, again, http.StatusCreated)
			wantReplay(t, again, after)
			s.wantOrders(t, 1)
		})
	}
}

func TestNothingGoesOutBeforeTheCommit(t *testing.T) {
	s := newShop(t, func(c *httpidem.Config) { c.MaxResponse = 8 }, nil)
	w := httptest.NewRecorder()
	s.guard.Middleware(place(t, func(inner http.ResponseWriter, _ *http.Request, _ int64) {
		_, _ = io.WriteString(inner, "more than eight bytes")
		if err := http.NewResponseController(inner).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("flush: %v", err)
		}
		if _, _, err := http.NewResponseController(inner).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("hijack: %v", err)
		}
		if w.Body.Len() > 0 || w.Flushed {
			t.Error("the response went out within the transaction")
		}
	})).ServeHTTP(w, call{key: "k"}.request())
	if w.Code != http.StatusOK || w.Body.String() != "more than eight bytes" {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
	wantProblem(t, call{key: "k"}.to(s.guard.Middleware(place(t, placed))), http.StatusConflict, "response-not-replayable")
	s.wantOrders(t, 1)
}

func TestAClientThatGoesAwayDoesNotRollBackWhatIsUnderWay(t *testing.T) {
	s := newShop(t, nil, nil)
	ctx, leave := context.WithCancel(context.Background())
	call{key: "k", ctx: ctx}.to(s.guard.Middleware(place(t, func(w http.ResponseWriter, r *http.Request, id int64) {
		leave()
		placed(w, r, id)
	})))
	wantReplay(t, call{key: "k"}.to(s.guard.Middleware(place(t, placed))), true)
	s.wantOrders(t, 1)
	// One that is gone before its turn has no effect.
	call{key: "k-2", ctx: ctx}.to(s.guard.Middleware(place(t, placed)))
	s.wantOrders(t, 1)
}

func TestADatabaseThatIsAwayRefuses(t *testing.T) {
	s := newShop(t, nil, nil)
	must(t, s.Close())
	wantProblem(t, call{key: "k"}.to(s.guard.Middleware(place(t, placed))), http.StatusServiceUnavailable, "store-unavailable")
}
