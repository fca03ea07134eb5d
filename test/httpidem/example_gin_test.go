package httpidem_test

import (
	"fmt"
	"log"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

// wrap makes a gin middleware of one of net/http, for single routes and groups.
func wrap(middleware func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		outer, request := c.Writer, c.Request
		ran := false
		middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran = true
			inner := &writer{ResponseWriter: outer, to: w}
			c.Writer, c.Request = inner, r
			c.Next()
			inner.WriteHeaderNow()
		})).ServeHTTP(outer, request)
		c.Writer, c.Request = outer, request
		if !ran {
			c.Abort() // it was answered without the handlers
		}
	}
}

// writer shows what a net/http middleware gives its handlers as gin's writer.
type writer struct {
	gin.ResponseWriter
	to     http.ResponseWriter
	status int
	size   int
	sent   bool
}

func (w *writer) Header() http.Header { return w.to.Header() }
func (w *writer) WriteHeader(code int) {
	if code > 0 && !w.sent {
		w.status = code
	}
}
func (w *writer) WriteHeaderNow() {
	if !w.sent {
		w.sent = true
		w.to.WriteHeader(w.Status())
	}
}
func (w *writer) Write(b []byte) (int, error) {
	w.WriteHeaderNow()
	n, err := w.to.Write(b)
	w.size += n
	return n, err
}
func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
func (w *writer) Status() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
func (w *writer) Size() int     { return w.size }
func (w *writer) Written() bool { return w.sent }
func (w *writer) Flush() {
	w.WriteHeaderNow()
	_ = http.NewResponseController(w.to).Flush()
}
func (w *writer) Unwrap() http.ResponseWriter { return w.to }

func Example_gin() {
	gin.SetMode(gin.ReleaseMode)
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: byTenant})
	if err != nil {
		log.Fatal(err)
	}
	orders := 0
	engine := gin.New()
	engine.POST("/orders", wrap(guard.Middleware), func(c *gin.Context) {
		orders++
		c.String(http.StatusCreated, "order %d", orders)
	})
	show(engine)
	// Output:
	// 201 order 1
	// 201 order 1 replayed
	// 422 idempotency-key-reused
	// 400 idempotency-key-missing
}

// The whole engine behind the guard takes no adapter.
func Example_ginEngine() {
	gin.SetMode(gin.ReleaseMode)
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: byTenant})
	if err != nil {
		log.Fatal(err)
	}
	orders := 0
	engine := gin.New()
	engine.POST("/orders", func(c *gin.Context) {
		orders++
		c.String(http.StatusCreated, "order %d", orders)
	})
	show(guard.Middleware(engine))
	// Output:
	// 201 order 1
	// 201 order 1 replayed
	// 422 idempotency-key-reused
	// 400 idempotency-key-missing
}

func TestAGinHandlerThatAbortsOrSaysOnlyAStatusIsRepeated(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	guard, err := httpidem.New(memorystore.New(), httpidem.Config{Scope: byTenant})
	must(t, err)
	engine := gin.New()
	runs := 0
	engine.POST("/orders", wrap(guard.Middleware), func(c *gin.Context) {
		runs++
		c.Header("Location", "/orders/1")
		c.Status(http.StatusNoContent)
	}, func(c *gin.Context) { c.AbortWithStatus(http.StatusAccepted) })
	for n := range 2 {
		w := send(engine, "a", "k", "", "lamp")
		if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/orders/1" || (n == 1) != (w.Header().Get("Idempotency-Replayed") == "true") {
			t.Errorf("status %d, %v", w.Code, w.Header())
		}
	}
	if runs != 1 {
		t.Errorf("%d runs, want 1", runs)
	}
}

// show sends an order, again, another one under its key, and one without a key.
func show(h http.Handler) {
	for _, c := range []struct{ key, body string }{{"k", "lamp"}, {"k", "lamp"}, {"k", "chair"}, {"", "lamp"}} {
		w := send(h, "acme", c.key, "", c.body)
		text := w.Body.String()
		if name := problemName(w.Body.Bytes()); name != "" {
			text = name
		}
		if w.Header().Get(httpidem.ReplayedHeader) != "" {
			text += " replayed"
		}
		fmt.Println(w.Code, text)
	}
}
