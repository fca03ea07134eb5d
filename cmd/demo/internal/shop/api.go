package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
)

// APIConfig configures NewAPI. All fields are needed but those that say so.
type APIConfig struct {
	Shop *Shop // nil where the process does not take orders
	// Guard has a request with an Idempotency-Key take effect once, in a
	// transaction that it gives to the handler. Default: keys are not looked at.
	Guard  func(http.Handler) http.Handler
	Ledger func(ctx context.Context) (any, error) // what GET /ledger answers
	// Ready returns what keeps the process from working, for the log, and the
	// reasons in words that anybody may read; nil where it works.
	Ready func(ctx context.Context) (reasons any, err error)
	// Down reports whether an error says that the database is away.
	Down   func(error) bool
	Logger *slog.Logger
}

const (
	maxBody     = 64 << 10
	readyWithin = 3 * time.Second
)

// NewAPI returns the HTTP API of the shop. With a nil Shop it only tells how
// the process is.
func NewAPI(cfg APIConfig) http.Handler {
	a := api{cfg}
	mux := http.NewServeMux()
	mux.Handle("/healthz", method(http.MethodGet, a.health))
	mux.Handle("/readyz", method(http.MethodGet, a.ready))
	if cfg.Shop != nil {
		mux.Handle("/orders", a.orders())
		mux.Handle("/orders/{id}", method(http.MethodGet, a.get))
		mux.Handle("/products/{sku}", method(http.MethodPut, a.setPrice))
		mux.Handle("/ledger", method(http.MethodGet, a.ledger))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: "there is nothing here: see POST /orders, GET /orders/{id}, PUT /products/{sku}, GET /ledger, /healthz, /readyz"})
	})
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, problem{Status: http.StatusForbidden, Detail: "a page of another origin may not place orders"})
	}))
	return guard.Handler(mux)
}

// NewServer returns a server that no client can hold up for long.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}

type api struct{ cfg APIConfig }

func method(name string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != name && (name != http.MethodGet || r.Method != http.MethodHead) {
			w.Header().Set("Allow", name)
			writeProblem(w, problem{Status: http.StatusMethodNotAllowed, Detail: "use " + name})
			return
		}
		h(w, r)
	})
}

// orders takes orders: those with an Idempotency-Key behind the guard.
func (a api) orders() http.Handler {
	plain := method(http.MethodPost, a.place)
	if a.cfg.Guard == nil {
		return plain
	}
	guarded := a.cfg.Guard(plain)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded.ServeHTTP(w, r)
		a.cfg.Shop.Wake() // its transaction has ended
	})
}

func (a api) place(w http.ResponseWriter, r *http.Request) {
	o, bad := readOrder(w, r)
	if bad != nil {
		httpidem.NotExecuted(r.Context()) // the same key may come with a better order
		writeProblem(w, *bad)
		return
	}
	place := a.cfg.Shop.Place
	if tx, ok := httpidem.Native[*sql.Tx](r.Context()); ok {
		place = func(ctx context.Context, o Order) (string, error) { return a.cfg.Shop.PlaceIn(ctx, tx, o) }
	}
	id, err := place(r.Context(), o)
	if err != nil {
		a.fail(w, r, "place order", err)
		return
	}
	w.Header().Set("Location", "/orders/"+id)
	writeJSON(w, http.StatusCreated, map[string]string{"id": id})
}

func (a api) get(w http.ResponseWriter, r *http.Request) {
	o, err := a.cfg.Shop.Get(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, ErrNotFound):
		writeProblem(w, problem{Status: http.StatusNotFound, Detail: "there is no order with this id"})
	case err != nil:
		a.fail(w, r, "get order", err)
	default:
		writeJSON(w, http.StatusOK, o)
	}
}

func (a api) ledger(w http.ResponseWriter, r *http.Request) {
	report, err := a.cfg.Ledger(r.Context())
	if err != nil {
		a.fail(w, r, "read ledger", err)
		return
	}
	writeJSON(w, http.StatusOK, report)
}

func (a api) health(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

func (a api) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	if reasons, err := a.cfg.Ready(ctx); err != nil {
		// Its text may name hosts and users: it is for the log.
		a.cfg.Logger.WarnContext(r.Context(), "not ready", "error", err)
		writeProblem(w, problem{Status: http.StatusServiceUnavailable, Detail: "not ready: the log says more", Reasons: reasons})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// fail logs err and answers without its text, which may name hosts and users.
func (a api) fail(w http.ResponseWriter, r *http.Request, what string, err error) {
	level := slog.LevelError
	if wanted := (*injected)(nil); errors.As(err, &wanted) || r.Context().Err() != nil { // or nobody is there any more
		level = slog.LevelDebug
	}
	a.cfg.Logger.Log(r.Context(), level, "request failed", "what", what, "error", err)
	p := problem{Status: http.StatusInternalServerError, Detail: "the order may or may not be there: GET /orders/{id} or try again"}
	if a.cfg.Down(err) {
		w.Header().Set("Retry-After", "1")
		p.Status = http.StatusServiceUnavailable
	}
	if r.Method != http.MethodPost {
		p.Detail = "the log says why"
	}
	writeProblem(w, p)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"title":"Internal Server Error","status":500}`)
	}
	setHeaders(w, "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a reader that went away
}

func setHeaders(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
}
