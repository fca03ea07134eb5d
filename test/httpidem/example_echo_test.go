package httpidem_test

import (
	"fmt"
	"log"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// answered makes the response of an error inside of the middleware. Without it echo
// would write it after the middleware has sent, and stored, an empty one.
func answered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := next(c); err != nil {
			c.Error(err)
		}
		return nil
	}
}

func Example_echo() {
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: byTenant})
	if err != nil {
		log.Fatal(err)
	}
	orders := 0
	e := echo.New()
	e.POST("/orders", func(c echo.Context) error {
		orders++
		return c.String(http.StatusCreated, fmt.Sprintf("order %d", orders))
	}, echo.WrapMiddleware(guard.Middleware), answered)
	show(e)
	// Output:
	// 201 order 1
	// 201 order 1 replayed
	// 422 idempotency-key-reused
	// 400 idempotency-key-missing
}

func TestAnErrorOfAnEchoHandlerIsTheResponse(t *testing.T) {
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: byTenant})
	must(t, err)
	runs := 0
	e := echo.New()
	refuse := func(echo.Context) error {
		runs++
		return echo.NewHTTPError(http.StatusPaymentRequired, "no money")
	}
	e.POST("/orders", refuse, echo.WrapMiddleware(guard.Middleware), answered)
	for range 2 {
		if w := send(e, "a", "k", "", "lamp"); w.Code != http.StatusPaymentRequired || w.Body.Len() == 0 {
			t.Errorf("status %d, body %s", w.Code, w.Body)
		}
	}
	if runs != 1 {
		t.Errorf("%d runs, want 1", runs)
	}
	// The trap that answered is for: the error's response is lost.
	bare := echo.New()
	bare.POST("/orders", refuse, echo.WrapMiddleware(guard.Middleware))
	if w := send(bare, "a", "another", "", "lamp"); w.Code == http.StatusPaymentRequired {
		t.Error("echo answers within its wrapped middleware by now: the documentation can do without the second one")
	}
}
