package partner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// maxBody bounds what a partner reads of one request.
const maxBody = 64 << 10

// MerchantConfig configures NewMerchant.
type MerchantConfig struct {
	// AwayAfter is after how many notifications the merchant goes away. Default: it
	// never does.
	AwayAfter int
	// AwayFor is for how long it does.
	AwayFor time.Duration
	// Told is told of each that was taken. Default: nobody.
	Told func()
}

// Paid is what the merchant is told: the payload of a notification.
type Paid struct {
	OrderID string `json:"order_id"`
	Status  string `json:"status"`
}

// Heard is how the merchant learned of an order.
type Heard struct {
	IDs   map[string]bool // of the notifications: one, whatever came twice
	Asked bool            // it asked for it, before it was told
}

// MerchantReport is what a merchant knows.
type MerchantReport struct {
	Heard    map[string]Heard // by order
	Posts    int              // requests that came, also while it was away
	Missed   int              // of these, those that met nobody
	Unsigned int              // requests whose signature is wrong, or that tell of no payment
}

// Merchant is told of each order that was paid. It is an http.Handler and safe for
// concurrent use.
type Merchant struct {
	cfg      MerchantConfig
	verifier *webhook.Verifier
	secret   string
	left     chan struct{} // it has gone away

	mu     sync.Mutex
	heard  map[string]Heard
	posts  int
	missed int
	forged int
	closed bool // it is away
	gone   bool // it has been
}

// NewMerchant returns a merchant that knows of nothing.
func NewMerchant(cfg MerchantConfig) (*Merchant, error) {
	secret := webhook.NewSecret()
	verifier, err := webhook.NewVerifier(0, secret)
	if err != nil {
		return nil, fmt.Errorf("make merchant: %w", err)
	}
	return &Merchant{cfg: cfg, verifier: verifier, secret: secret, left: make(chan struct{}, 1), heard: map[string]Heard{}}, nil
}

// Secret is what it wants notifications to be signed with.
func (m *Merchant) Secret() string { return m.secret }

// ServeHTTP takes a notification.
func (m *Merchant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.away() {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot be read", http.StatusBadRequest)
		return
	}
	id, _, err := m.verifier.Verify(r.Header, body, time.Now())
	var paid Paid
	if err != nil || json.Unmarshal(body, &paid) != nil || paid.OrderID == "" || paid.Status != "paid" {
		m.mu.Lock()
		m.forged++
		m.mu.Unlock()
		http.Error(w, "not signed by the shop", http.StatusUnauthorized)
		return
	}
	m.hear(paid.OrderID, id, false)
	w.WriteHeader(http.StatusNoContent)
}

func (m *Merchant) hear(order, id string, asked bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, known := m.heard[order]
	if !known {
		h = Heard{IDs: map[string]bool{}, Asked: asked}
	}
	h.IDs[id] = true
	m.heard[order] = h
	if m.cfg.Told != nil {
		m.cfg.Told()
	}
}

// away counts a request, and reports whether it meets nobody.
func (m *Merchant) away() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.posts++
	if m.cfg.AwayAfter > 0 && m.posts > m.cfg.AwayAfter && !m.gone {
		m.gone, m.closed = true, true
		m.left <- struct{}{}
	}
	if m.closed {
		m.missed++
	}
	return m.closed
}

func (m *Merchant) open() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = false
}

// Report returns what it knows.
func (m *Merchant) Report() MerchantReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	return MerchantReport{Heard: maps.Clone(m.heard), Posts: m.posts, Missed: m.missed, Unsigned: m.forged}
}

// Run has the merchant come back: it asks for what it missed, and only then takes
// notifications again. It returns when ctx ends. notifications is the shop's page of
// them, and token the access to it.
func (m *Merchant) Run(ctx context.Context, notifications, token string) error {
	asker := &asker{merchant: m, url: notifications, token: token, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}}
	defer asker.client.CloseIdleConnections()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.left:
		}
		if !m.comeBack(ctx, asker) {
			m.left <- struct{}{} // the next Run's
			return nil
		}
	}
}

func (m *Merchant) comeBack(ctx context.Context, asker *asker) bool {
	if backoff.Wait(ctx, m.cfg.AwayFor) != nil {
		return false
	}
	for err := asker.catchUp(ctx); err != nil; err = asker.catchUp(ctx) {
		if backoff.Wait(ctx, 100*time.Millisecond) != nil {
			return false
		}
	}
	m.open()
	return true
}
