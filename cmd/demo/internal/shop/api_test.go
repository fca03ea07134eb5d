package shop_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/database"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

type api struct {
	http.Handler
	count func(table string) int
	ready error
	fault error
}

func (a *api) BeforeCommit(shop.Order) error { return a.fault }
func (*api) Before(string, shop.Order) error { return nil }
func (*api) After(string, shop.Order) error  { return nil }

func newAPI(t *testing.T) *api {
	t.Helper()
	db, err := database.Open(database.SQLiteURL(filepath.Join(t.TempDir(), "shop.db")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := sluicegate.Migrate(t.Context(), db, sluicegate.Config{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may run twice
		if err := shop.CreateTables(t.Context(), db, sqldialect.SQLite); err != nil {
			t.Fatal(err)
		}
	}
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		t.Fatal(err)
	}
	a := &api{}
	a.count = func(table string) (n int) {
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	a.Handler = shop.NewAPI(shop.APIConfig{
		Shop:   shop.New(shop.Config{DB: db, Dialect: sqldialect.SQLite, Outbox: box, Faults: a}),
		Ledger: func(context.Context) (any, error) { return map[string]int{"lost": 0}, nil },
		Ready:  func(context.Context) (any, error) { return []string{"database"}, a.ready },
		Down:   sqldialect.SQLite.IsUnavailable,
		Logger: slog.New(slog.DiscardHandler),
	})
	return a
}

func (a *api) do(method, path, contentType string, body io.Reader) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, body)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

const good = `{"customer": "Ada", "sku": "mill", "quantity": 2, "amount": 19.90}`

func TestAnAnswerOf201MeansThatOrderAndMessageAreCommitted(t *testing.T) {
	a := newAPI(t)
	w := a.do("POST", "/orders", "application/json; charset=utf-8", strings.NewReader(good))
	var answer map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 201 || len(answer) != 1 || answer["id"] == "" {
		t.Fatalf("answer is %d %s", w.Code, w.Body)
	}
	if a.count("orders") != 1 || a.count("sluicegate_outbox") != 1 {
		t.Errorf("%d orders and %d messages, want one each", a.count("orders"), a.count("sluicegate_outbox"))
	}
	w = a.do("GET", w.Header().Get("Location"), "", nil)
	var o shop.Order
	if err := json.Unmarshal(w.Body.Bytes(), &o); err != nil || w.Code != 200 {
		t.Fatalf("answer is %d %s: %v", w.Code, w.Body, err)
	}
	if o.ID != answer["id"] || o.Customer != "Ada" || o.SKU != "mill" || o.Quantity != 2 || o.Amount != 1990 || o.Status != shop.Placed || o.CreatedAt.IsZero() {
		t.Errorf("order is %+v", o)
	}
	if !strings.Contains(w.Body.String(), `"amount":19.90`) {
		t.Errorf("amount is no decimal: %s", w.Body)
	}
}

func TestAnOrderThatIsRolledBackLeavesNoMessage(t *testing.T) {
	a := newAPI(t)
	a.fault = errors.New("wanted")
	if w := a.do("POST", "/orders", "application/json", strings.NewReader(good)); w.Code != 500 || strings.Contains(w.Body.String(), "wanted") {
		t.Errorf("answer is %d %s", w.Code, w.Body)
	}
	if a.count("orders") != 0 || a.count("sluicegate_outbox") != 0 {
		t.Error("something was committed")
	}
}

func TestABadOrderIsRefusedWithItsFieldAndWithoutEffect(t *testing.T) {
	a := newAPI(t)
	with := func(field, value string) string {
		o := map[string]string{"customer": `"Ada"`, "sku": `"mill"`, "quantity": "2", "amount": "19.90"}
		o[field] = value
		var parts []string
		for k, v := range o {
			if v != "" {
				parts = append(parts, `"`+k+`": `+v)
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	const asJSON = "application/json"
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		want                    string
	}{
		{"no content type", "", good, 415, "application/json"},
		{"wrong content type", "application/x-www-form-urlencoded", good, 415, "application/json"},
		{"no body", asJSON, "", 400, "not one JSON object"},
		{"truncated", asJSON, good[:20], 400, "cut short"},
		{"truncated after a value", asJSON, `{"customer": "Ada"`, 400, "cut short"},
		{"trailing", asJSON, good + "{}", 400, "after the JSON object"},
		{"a list", asJSON, "[" + good + "]", 400, "not one JSON object"},
		{"not UTF-8", asJSON, "{\"customer\": \"\xff\"}", 400, "UTF-8"},
		{"too large", asJSON, `{"customer": "` + strings.Repeat("x", 70000) + `"}`, 413, "larger than"},
		{"unknown field", asJSON, with("amuont", "1"), 422, `"field":"amuont","detail":"is unknown: did you mean \"amount\"?"`},
		{"another case", asJSON, with("Customer", `"x"`), 422, `"field":"Customer"`},
		{"twice", asJSON, `{"customer": "a", "customer": "b", "sku": "s", "quantity": 1, "amount": 1}`, 422, `"field":"customer","detail":"is given more than once"`},
		{"missing", asJSON, with("sku", ""), 422, `"field":"sku","detail":"is missing"`},
		{"null", asJSON, with("amount", "null"), 422, `"field":"amount"`},
		{"a number as text", asJSON, with("quantity", `"2"`), 422, `"field":"quantity"`},
		{"a text as number", asJSON, with("customer", "2"), 422, `"field":"customer"`},
		{"zero", asJSON, with("quantity", "0"), 422, `"field":"quantity"`},
		{"negative", asJSON, with("amount", "-1"), 422, `"field":"amount"`},
		{"a fraction", asJSON, with("quantity", "1.5"), 422, `"field":"quantity"`},
		{"beyond 2^53", asJSON, with("quantity", "9007199254740993"), 422, `"field":"quantity"`},
		{"beyond 2^63", asJSON, with("quantity", "9223372036854775808"), 422, `"field":"quantity"`},
		{"an exponent", asJSON, with("amount", "1e9"), 422, `"field":"amount"`},
		{"three decimals", asJSON, with("amount", "1.999"), 422, `"field":"amount"`},
		{"too much money", asJSON, with("amount", "1000000000.01"), 422, `"field":"amount"`},
		{"far too much money", asJSON, with("amount", "99999999999999999999999"), 422, `"field":"amount"`},
		{"blank", asJSON, with("customer", `"  "`), 422, `"field":"customer"`},
		{"too long", asJSON, with("sku", `"`+strings.Repeat("x", 101)+`"`), 422, `"field":"sku"`},
		{"control characters", asJSON, with("sku", `"a\u0000b"`), 422, `"field":"sku"`},
		{"a lone surrogate", asJSON, with("sku", `"\ud800"`), 422, `"field":"sku"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := a.do("POST", "/orders", c.contentType, strings.NewReader(c.body))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("answer is %d %s, want %d with %s", w.Code, w.Body, c.status, c.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type is %q", got)
			}
		})
	}
	if a.count("orders") != 0 || a.count("sluicegate_outbox") != 0 {
		t.Error("a refused order was committed")
	}
	w := a.do("POST", "/orders", asJSON, strings.NewReader(`{"sku": 1, "quantity": 0, "x": 1}`))
	for _, field := range []string{"customer", "sku", "quantity", "amount", "x"} {
		if !strings.Contains(w.Body.String(), `"field":"`+field+`"`) {
			t.Errorf("not all problems are told, %s is missing: %s", field, w.Body)
		}
	}
}

func TestWhatIsNotThereIsAProblemToo(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/orders/none", 404}, {"GET", "/orders/..%2f..%2fetc", 404}, {"GET", "/", 404}, {"GET", "/orders/" + strings.Repeat("x", 5000), 404},
		{"GET", "/orders", 405}, {"DELETE", "/orders", 405}, {"POST", "/orders/none", 405}, {"POST", "/ledger", 405}, {"PUT", "/healthz", 405},
		{"GET", "/healthz", 200}, {"HEAD", "/healthz", 200}, {"GET", "/readyz", 200}, {"GET", "/ledger", 200},
	} {
		w := a.do(c.method, c.path, "", nil)
		if w.Code != c.status {
			t.Errorf("%s %s is %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if c.status == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s has no Allow", c.method, c.path)
		}
	}
	a.ready = errors.New("database of user postgres is away")
	if w := a.do("GET", "/readyz", "", nil); w.Code != 503 || strings.Contains(w.Body.String(), "postgres") || !strings.Contains(w.Body.String(), `"reasons":["database"]`) {
		t.Errorf("not ready is %d %s", w.Code, w.Body)
	}
}

func TestAPageOfAnotherOriginCannotPlaceOrders(t *testing.T) {
	a := newAPI(t)
	r := httptest.NewRequest(http.MethodPost, "/orders", strings.NewReader(good))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || a.count("orders") != 0 {
		t.Errorf("answer is %d", w.Code)
	}
}

func TestTablesOfSomebodyElseAreNotTakenForOurs(t *testing.T) {
	db, err := database.Open(database.SQLiteURL(filepath.Join(t.TempDir(), "other.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE orders (number INTEGER)"); err != nil {
		t.Fatal(err)
	}
	if err := shop.CreateTables(t.Context(), db, sqldialect.SQLite); err == nil || !strings.Contains(err.Error(), "not those of the demo") {
		t.Errorf("got %v", err)
	}
}
