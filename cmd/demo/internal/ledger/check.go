// Package ledger checks what has become of the orders: each that was committed
// must have been applied exactly once by every service, or lie among the dead
// letters that were meant to be there.
package ledger

import (
	"fmt"
	"slices"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/partner"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
)

// Payment is the service that the others wait for.
const Payment = "payment"

// Services are the services of the ledger.
var Services = []string{Payment, "stock", "points", "shipping"}

// Facts are what was read.
type Facts struct {
	Accepted []string                   // orders that a client was told are committed; may be nil
	Orders   map[string]string          // status by id: what is committed
	SKUs     map[string]string          // SKU by id; not checked
	Merchant *partner.MerchantReport    // what the merchant knows; nil: not checked
	Courier  *partner.CourierReport     // what the courier knows; nil: not checked
	Parcels  []Parcel                   // rows of the table parcels
	Products []shop.Product             // rows of the table products
	Pages    map[string][]byte          // their pages by SKU; nil: not checked
	Requests map[string]string          // the request that each order is of, by id; nil: not checked
	Applied  []Entry                    // rows of the ledger
	Dead     map[string]map[string]bool // orders among the dead letters, by service
	Poison   map[string]map[string]bool // those that were meant to be there; nil: all of Dead
}

// Entry is a row of the ledger.
type Entry struct{ Service, Order string }

// Parcel is a row of the table parcels.
type Parcel struct{ Order, Status, Tracking string }

// Report is what the check found.
type Report struct {
	Orders       int            `json:"orders"`        // committed
	Applied      map[string]int `json:"applied"`       // orders applied at least once, by service
	DeadLettered map[string]int `json:"dead_lettered"` // orders set aside, by service
	Lost         int            `json:"lost"`          // committed, and neither applied nor meant to be set aside; in a shop at work also what is still on its way
	Duplicated   int            `json:"duplicated"`    // effects beyond the first
	Phantom      int            `json:"phantom"`       // effects without a committed cause, or of a failed handler

	PagesEqual int `json:"-"`                    // pages of products that are their row
	Mismatched int `json:"mismatched,omitempty"` // what partners know and should not, or should and do not

	Problems []string `json:"problems,omitempty"` // the first of each kind
}

// Exact reports whether every effect is there once.
func (r *Report) Exact() bool {
	return r.Lost == 0 && r.Duplicated == 0 && r.Phantom == 0 && r.Mismatched == 0
}

const maxProblems = 20

func (r *Report) problem(counter *int, format string, args ...any) {
	*counter++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Check compares.
func Check(f Facts) Report {
	r := Report{Orders: len(f.Orders), Applied: map[string]int{}, DeadLettered: map[string]int{}}
	for _, id := range f.Accepted {
		if _, ok := f.Orders[id]; !ok {
			r.problem(&r.Lost, "order %s: its client was told that it is committed, and it is not there", id)
		}
	}
	r.checkRequests(f)
	counts := count(f.Applied)
	for _, service := range Services {
		r.Applied[service] = len(counts[service])
		r.DeadLettered[service] = len(f.Dead[service])
		r.checkService(f, service, counts)
	}
	for service := range counts {
		if !slices.Contains(Services, service) {
			r.problem(&r.Phantom, "service %s is unknown", service)
		}
	}
	for id, status := range f.Orders {
		if paid := counts[Payment][id] > 0; paid != (status == "paid") {
			r.problem(&r.Phantom, "order %s: its status is %s, and payment was applied %d times", id, status, counts[Payment][id])
		}
	}
	r.checkMerchant(f.Merchant, counts[Payment])
	r.checkCourier(f, counts[shipping])
	r.checkPages(f)
	slices.Sort(r.Problems)
	return r
}

// checkRequests finds requests of which there are several orders.
func (r *Report) checkRequests(f Facts) {
	seen := map[string]string{}
	for id, request := range f.Requests {
		if first, ok := seen[request]; ok {
			r.problem(&r.Duplicated, "order %s: is of the same request as %s", id, first)
		}
		seen[request] = id
	}
}

// checkService judges each order at one service.
func (r *Report) checkService(f Facts, service string, counts map[string]map[string]int) {
	for id, n := range counts[service] {
		if n > 1 {
			r.Duplicated += n - 2 // problem adds the last
			r.problem(&r.Duplicated, "order %s: applied %d times by %s", id, n, service)
		}
		if _, ok := f.Orders[id]; !ok {
			r.problem(&r.Phantom, "order %s: applied by %s, and was never committed", id, service)
		} else if f.Dead[service][id] {
			r.problem(&r.Phantom, "order %s: applied by %s, which set it aside", id, service)
		} else if service != Payment && counts[Payment][id] == 0 {
			r.problem(&r.Phantom, "order %s: applied by %s, and was never paid", id, service)
		}
	}
	for id := range f.Orders {
		switch {
		case counts[service][id] > 0:
		case f.meant(service, id) && f.Dead[service][id]:
		case service != Payment && f.meant(Payment, id) && f.Dead[Payment][id]: // never paid, so nothing to do here
		default:
			r.problem(&r.Lost, "order %s: not applied by %s", id, service)
		}
	}
}

// meant reports whether an order belongs among the dead letters.
func (f Facts) meant(service, id string) bool { return f.Poison == nil || f.Poison[service][id] }

func count(entries []Entry) map[string]map[string]int {
	out := map[string]map[string]int{}
	for _, e := range entries {
		if out[e.Service] == nil {
			out[e.Service] = map[string]int{}
		}
		out[e.Service][e.Order]++
	}
	return out
}
