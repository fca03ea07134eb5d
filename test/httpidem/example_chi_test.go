package httpidem_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func Example_chi() {
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: byTenant})
	if err != nil {
		log.Fatal(err)
	}
	orders := 0
	r := chi.NewRouter()
	r.With(guard.Middleware).Post("/orders", func(w http.ResponseWriter, _ *http.Request) { // or r.Use, for all routes
		orders++
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "order %d", orders)
	})
	show(r)
	// Output:
	// 201 order 1
	// 201 order 1 replayed
	// 422 idempotency-key-reused
	// 400 idempotency-key-missing
}
