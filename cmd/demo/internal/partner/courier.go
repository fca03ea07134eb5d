package partner

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/webhook"
)

// Manner is how a courier calls back.
type Manner uint8

// The manners.
const (
	Prompt Manner = iota // soon after it has answered
	Early                // before the shop has committed that it asks
	AtOnce               // before it has answered
	Twice                // two times
	Late                 // when the shop has asked for the result already
	Forged               // after somebody else did, with another result
	Never                // not at all
	Away                 // it cannot take the first request
)

// CourierConfig configures NewCourier.
type CourierConfig struct {
	// Manner is how it calls back for an order of this SKU. Default: Prompt.
	Manner func(sku string) Manner
	// Declines says that it does not take a parcel of this SKU. Default: it takes all.
	Declines func(sku string) bool
	// LateBy is by how much a late callback is.
	LateBy time.Duration
}

// Parcel is what a courier is asked for: the body of a request.
type Parcel struct {
	OrderID string `json:"order_id"`
	SKU     string `json:"sku"`
}

// Booking is the true result of a request.
type Booking struct {
	SKU      string `json:"sku"`
	Status   string `json:"-"` // succeeded or failed
	Tracking string `json:"tracking"`
}

// CourierReport is what a courier knows.
type CourierReport struct {
	Bookings  map[string]Booking // by the number of the request, the order's id
	Requests  int                // that it got, also those that it knew or could not take
	Callbacks map[string]int     // by what they were answered
}

// Courier books parcels and calls back. It is an http.Handler and safe for
// concurrent use.
type Courier struct {
	cfg     CourierConfig
	mux     http.ServeMux
	secret  string
	signer  *webhook.Signer
	forger  *webhook.Signer
	more    chan struct{} // there are jobs
	address chan string   // where to call back, once Run has begun

	mu       sync.Mutex
	bookings map[string]Booking
	asked    map[string]int // queries by number
	refused  map[string]bool
	requests int
	answers  map[string]int
	jobs     []job
}

// NewCourier returns a courier without parcels.
func NewCourier(cfg CourierConfig) (*Courier, error) {
	if cfg.Manner == nil {
		cfg.Manner = func(string) Manner { return Prompt }
	}
	if cfg.Declines == nil {
		cfg.Declines = func(string) bool { return false }
	}
	c := &Courier{
		cfg: cfg, secret: webhook.NewSecret(), more: make(chan struct{}, 1), address: make(chan string, 1),
		bookings: map[string]Booking{}, asked: map[string]int{}, refused: map[string]bool{}, answers: map[string]int{},
	}
	var err error
	if c.signer, err = webhook.NewSigner(c.secret); err != nil {
		return nil, fmt.Errorf("make courier: %w", err)
	}
	if c.forger, err = webhook.NewSigner(webhook.NewSecret()); err != nil {
		return nil, fmt.Errorf("make courier: %w", err)
	}
	c.mux.HandleFunc("POST /courier/bookings", c.book)
	c.mux.HandleFunc("GET /courier/bookings/{number}", c.query)
	return c, nil
}

// Secret is what it signs callbacks with.
func (c *Courier) Secret() string { return c.secret }

// ServeHTTP takes requests and queries.
func (c *Courier) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Announce tells of a parcel before it is asked for: a courier who is Early calls
// back then.
func (c *Courier) Announce(number, sku string) {
	if c.cfg.Manner(sku) == Early && c.take(number, sku) {
		c.later(job{number: number})
	}
}

// book takes a request, each number once.
func (c *Courier) book(w http.ResponseWriter, r *http.Request) {
	number := r.Header.Get("Idempotency-Key")
	var p Parcel
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&p); err != nil || number == "" || p.OrderID != number {
		http.Error(w, "cannot be read", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	c.requests++
	c.mu.Unlock()
	manner := c.cfg.Manner(p.SKU)
	if manner == Away && c.refuses(number) {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	if c.take(number, p.SKU) {
		switch manner {
		case AtOnce:
			c.callBack(r.Context(), job{number: number})
		case Late:
			c.later(job{number: number, after: c.cfg.LateBy})
		case Twice:
			c.later(job{number: number}, job{number: number})
		case Forged:
			c.later(job{number: number, forged: true})
		case Never:
		case Prompt, Early, Away:
			c.later(job{number: number})
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// refuses reports whether a number comes for the first time.
func (c *Courier) refuses(number string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.refused[number]
	c.refused[number] = true
	return first
}

// take books a parcel, and reports whether it was not booked already.
func (c *Courier) take(number, sku string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.bookings[number]; ok {
		return false
	}
	b := Booking{SKU: sku, Status: "succeeded", Tracking: "parcel-" + number}
	if c.cfg.Declines(sku) {
		b.Status, b.Tracking = "failed", ""
	}
	c.bookings[number] = b
	return true
}

// query answers what has become of a request: the first time, that it is at work.
func (c *Courier) query(w http.ResponseWriter, r *http.Request) {
	number := r.PathValue("number")
	c.mu.Lock()
	b, ok := c.bookings[number]
	c.asked[number]++
	first := c.asked[number] == 1
	c.mu.Unlock()
	switch {
	case !ok:
		http.Error(w, "there is no such booking", http.StatusNotFound)
	case first && c.cfg.Manner(b.SKU) == Never:
		writeReport(w, number, Booking{SKU: b.SKU, Status: "pending"})
	default:
		writeReport(w, number, b)
	}
}

// Report returns what it knows.
func (c *Courier) Report() CourierReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CourierReport{Bookings: maps.Clone(c.bookings), Requests: c.requests, Callbacks: maps.Clone(c.answers)}
}

func writeReport(w http.ResponseWriter, number string, b Booking) {
	body, err := report(number, b)
	if err != nil {
		http.Error(w, "cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // to a reader who may be gone
}

// report is what callbacks and queries say.
func report(number string, b Booking) ([]byte, error) {
	return json.Marshal(map[string]any{"number": number, "status": b.Status, "data": b})
}
