package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/fault"
)

const (
	clients      = 8
	customers    = 40
	tries        = 8
	tryTimeout   = 30 * time.Second
	betweenTries = 50 * time.Millisecond
)

// client places the orders of a run over HTTP.
type client struct {
	http   *http.Client
	url    string
	random *rand.Rand
	orders int

	placed atomic.Int64
	mu     sync.Mutex
	ids    []string // that were answered with 201
	errs   []error
}

func newClient(url string, seed uint64, orders int) *client {
	return &client{
		http: &http.Client{Timeout: tryTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: clients}},
		url:  url, orders: orders,
		random: rand.New(rand.NewPCG(seed, 0)),
	}
}

type body struct {
	Customer string  `json:"customer"`
	SKU      string  `json:"sku"`
	Quantity int     `json:"quantity"`
	Amount   float64 `json:"amount"`
}

// place places all orders and returns the ids that were answered.
func (c *client) place(ctx context.Context) ([]string, error) {
	defer c.http.CloseIdleConnections()
	work := make(chan body)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for b := range work {
				c.one(ctx, b)
			}
		})
	}
	for i := range c.orders {
		b := body{
			Customer: fmt.Sprintf("customer-%02d", c.random.IntN(customers)), SKU: fault.SKU(i),
			Quantity: 1 + c.random.IntN(5), Amount: float64(100+c.random.IntN(99900)) / 100,
		}
		select {
		case work <- b:
		case <-ctx.Done():
		}
	}
	close(work)
	all.Wait()
	return c.ids, errors.Join(c.errs...)
}

// one places an order, again where the shop says that it has failed. Should an
// order that was said to have failed be there after all, it is one more order.
func (c *client) one(ctx context.Context, b body) {
	var err error
	for range tries {
		var id string
		if id, err = c.post(ctx, b); err == nil {
			c.accept(id)
			return
		}
		if !pause(ctx, betweenTries) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, fmt.Errorf("place order %s: %w", b.SKU, err))
}

func (c *client) accept(id string) {
	c.placed.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id)
}

func (c *client) post(ctx context.Context, b body) (id string, err error) {
	text, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/orders", bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the shop answered %s", response.Status)
	}
	var created struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &created); err != nil || created.ID == "" {
		return "", errors.New("the shop's answer has no id")
	}
	return created.ID, nil
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
