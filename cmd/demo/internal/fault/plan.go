// Package fault breaks things on purpose: where, is drawn from a seed, so that a
// run that found something can be repeated. What a fault hits is an order, told
// by its SKU; how often the order's messages come by, and when, does not matter.
package fault

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Kind is a way to break.
type Kind uint8

// The kinds.
const (
	FailBefore   Kind = iota + 1 // the handler fails before it writes
	FailAfter                    // the handler writes, then fails
	PanicBefore                  // the handler panics before it writes
	PanicAfter                   // the handler writes, then panics
	Poison                       // the handler writes, then fails, always
	LoseAck                      // the process dies between effect and ack: the broker delivers again
	LoseConfirm                  // the broker takes the message, and its confirmation is lost
	Refuse                       // the broker refuses the message, twice
	Rollback                     // the order is written with its message, and rolled back
	Ail                          // the handler fails for longer than the attempts at once take, then heals
	PlaceTwice                   // the customer clicks twice: two requests at once, with one key
	PlaceAgain                   // the customer's request is cut off, and comes again
	CallEarly                    // the courier calls back before the shop has committed that it asks
	CallAtOnce                   // the courier calls back before it has answered
	CallTwice                    // the courier calls back twice
	CallLate                     // the courier calls back when its result was asked for already
	CallForged                   // somebody else calls back first
	CallNever                    // the courier does not call back
	CallAway                     // the courier cannot take the request the first time
	CallDeclined                 // the courier does not take the parcel
)

// share is how many orders of a thousand a kind hits; at least one of a run.
var share = map[Kind]int{
	FailBefore: 40, FailAfter: 40, PanicBefore: 20, PanicAfter: 20, Poison: 12,
	LoseAck: 40, LoseConfirm: 40, Refuse: 20, Rollback: 30, Ail: 16,
	PlaceTwice: 40, PlaceAgain: 40,
	CallEarly: 30, CallAtOnce: 30, CallTwice: 30, CallLate: 30, CallForged: 30, CallNever: 30, CallAway: 20, CallDeclined: 30,
}

// kinds are all of them, in the order in which they take their places.
var kinds = []Kind{Poison, FailBefore, FailAfter, PanicBefore, PanicAfter, LoseAck, LoseConfirm, Refuse, Rollback, Ail, PlaceTwice, PlaceAgain,
	CallEarly, CallAtOnce, CallTwice, CallLate, CallForged, CallNever, CallAway, CallDeclined}

// services are drawn from for the kinds that hit one service.
var services = []string{"payment", "stock", "points", "shipping"}

// SKU is the SKU of the i-th order of a run: faults know orders by it.
func SKU(i int) string { return fmt.Sprintf("sku-%07d", i) }

// hit is what a fault hits: an order at a service, or, for the faults that lie
// outside of services, at "".
type hit struct{ service, sku string }

// Plan says what breaks.
type Plan struct {
	seed  uint64
	kinds map[hit][]Kind
}

// NewPlan draws a plan for a run of so many orders.
func NewPlan(seed uint64, orders int) Plan {
	p := Plan{seed: seed, kinds: map[hit][]Kind{}}
	for _, kind := range kinds {
		// A generator of its own for each kind: another share of one leaves
		// the others where they are.
		random := rand.New(rand.NewPCG(seed, uint64(kind)))
		left := hits(kind, orders)
		for _, i := range random.Perm(orders) {
			if left > 0 && p.place(kind, SKU(i), random.IntN(len(services))) {
				left--
			}
		}
	}
	return p
}

// hits is how many of so many orders a kind hits.
func hits(kind Kind, orders int) int {
	least := 1
	if kind == Poison {
		least = 2 // so that their alerts have something to fold
	}
	return max(least, orders*share[kind]/1000)
}

// place has kind hit the order, at the service number first or at the next that
// is free. No service of an order is broken in two ways: all attempts might
// then fail, and only poison is meant to.
func (p Plan) place(kind Kind, sku string, first int) bool {
	if kind > Poison && kind != LoseAck && kind != Ail {
		p.kinds[hit{"", sku}] = append(p.kinds[hit{"", sku}], kind)
		return true
	}
	for i := range services {
		at := hit{services[(first+i)%len(services)], sku}
		if kind == LoseAck || len(p.kinds[at]) == 0 {
			p.kinds[at] = append(p.kinds[at], kind)
			return true
		}
	}
	return false
}

// has reports whether kind hits.
func (p Plan) has(kind Kind, service, sku string) bool {
	return slices.Contains(p.kinds[hit{service, sku}], kind)
}

// Hits reports whether kind, which lies outside of services, hits the order of
// this SKU.
func (p Plan) Hits(kind Kind, sku string) bool { return p.has(kind, "", sku) }

// Poisoned reports whether a service can never handle the order of this SKU.
func (p Plan) Poisoned(service, sku string) bool { return p.has(Poison, service, sku) }
