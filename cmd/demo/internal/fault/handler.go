package fault

import (
	"errors"
	"sync"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
)

// The errors that faults return.
var (
	ErrHandler  = errors.New("injected: the handler fails")
	ErrAiling   = errors.New("injected: the handler fails for a while")
	ErrPoison   = errors.New("injected: this order can never be handled")
	ErrRollback = errors.New("injected: the order is rolled back")
)

// Handlers breaks the shop's services. It is safe for concurrent use.
type Handlers struct {
	plan Plan

	mu   sync.Mutex
	done map[hit]map[Kind]int // how often a fault has struck
}

// ailing is how many calls of a handler an ailment lasts: one as a part of a
// batch, three at once, and the first of those that come later.
const ailing = 5

var _ shop.Faults = (*Handlers)(nil)

// NewHandlers returns the faults of plan that lie in the shop itself.
func NewHandlers(plan Plan) *Handlers {
	return &Handlers{plan: plan, done: map[hit]map[Kind]int{}}
}

// strikes reports whether kind hits now. A failed attempt is followed by one
// that the same fault leaves alone, or by some for an ailment, so that all but
// poison gets through.
func (h *Handlers) strikes(kind Kind, service, sku string) bool {
	if !h.plan.has(kind, service, sku) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	at := hit{service, sku}
	if h.done[at] == nil {
		h.done[at] = map[Kind]int{}
	}
	lasts := 1
	if kind == Ail {
		lasts = ailing
	}
	if h.done[at][kind] >= lasts {
		return false
	}
	h.done[at][kind]++
	return true
}

// BeforeCommit is where orders are rolled back.
func (h *Handlers) BeforeCommit(o shop.Order) error {
	if h.strikes(Rollback, "", o.SKU) {
		return ErrRollback
	}
	return nil
}

// Before is where handlers break before they have written.
func (h *Handlers) Before(service string, o shop.Order) error {
	if h.strikes(PanicBefore, service, o.SKU) {
		panic("injected: the handler panics")
	}
	if h.strikes(FailBefore, service, o.SKU) {
		return ErrHandler
	}
	if h.strikes(Ail, service, o.SKU) {
		return ErrAiling
	}
	return nil
}

// After is where handlers break after they have written.
func (h *Handlers) After(service string, o shop.Order) error {
	if h.plan.has(Poison, service, o.SKU) {
		return ErrPoison
	}
	if h.strikes(PanicAfter, service, o.SKU) {
		panic("injected: the handler panics after it has written")
	}
	if h.strikes(FailAfter, service, o.SKU) {
		return ErrHandler
	}
	return nil
}
