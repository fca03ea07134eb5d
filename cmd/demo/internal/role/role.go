// Package role names the parts of the shop that can run in processes of their
// own.
package role

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/internal/suggest"
)

// Role is one part of the shop.
type Role string

// The roles.
const (
	API      Role = "api"      // takes orders and prices over HTTP, writes the products' pages
	Relay    Role = "relay"    // carries the outbox to the broker
	Payment  Role = "payment"  // orders.placed: sets the order paid, puts out orders.paid, tells the merchant
	Stock    Role = "stock"    // orders.paid
	Points   Role = "points"   // orders.paid
	Shipping Role = "shipping" // orders.paid: asks the courier, notes what it says
)

// dashboard is a name that is reserved for what does not exist yet.
const dashboard = "dashboard"

// All are the roles of a whole shop.
var All = Set{API, Relay, Payment, Stock, Points, Shipping}

// Consumers are the roles that handle messages: the services of the ledger.
var Consumers = Set{Payment, Stock, Points, Shipping}

// Set is a list of roles, each at most once, in the order of All.
type Set []Role

// Parse reads a list such as "api,relay". It reports all problems together.
func Parse(list string) (Set, error) {
	var errs []error
	var got Set
	for word := range strings.SplitSeq(list, ",") {
		r := Role(strings.TrimSpace(word))
		switch {
		case r == "":
			errs = append(errs, fmt.Errorf("has an empty role: give some of %s", All))
		case r == dashboard:
			errs = append(errs, errors.New("role dashboard is not there yet: leave it out"))
		case !slices.Contains(All, r):
			errs = append(errs, fmt.Errorf("role %q is unknown: %s", r, suggest.Hint(string(r), All.words()...)))
		case got.Has(r):
			errs = append(errs, fmt.Errorf("role %q is given twice: keep one", r))
		default:
			got = append(got, r)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(got, func(a, b Role) int { return slices.Index(All, a) - slices.Index(All, b) })
	return got, nil
}

// Has reports whether r is in s.
func (s Set) Has(r Role) bool { return slices.Contains(s, r) }

// Complete reports whether s is the whole shop.
func (s Set) Complete() bool { return len(s) == len(All) }

func (s Set) words() []string {
	out := make([]string, len(s))
	for i, r := range s {
		out[i] = string(r)
	}
	return out
}

// String returns the list as Parse reads it.
func (s Set) String() string { return strings.Join(s.words(), ",") }
