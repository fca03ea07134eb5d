package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/fault"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/internal/backoff"
)

const (
	clients      = 8
	customers    = 40
	tries        = 12
	tryTimeout   = 30 * time.Second
	betweenTries = 50 * time.Millisecond
	maxPatience  = 10 * time.Millisecond // of a client whose request is cut off
)

// client places the orders of a run over HTTP.
type client struct {
	http   *http.Client
	url    string
	run    string
	plan   fault.Plan
	random *rand.Rand
	cuts   *rand.Rand
	orders int
	seed   uint64

	changes             atomic.Int64 // of prices
	placed              atomic.Int64
	replayed, conflicts atomic.Int64
	mu                  sync.Mutex
	ids                 []string // that were answered with 201
	errs                []error
}

func newClient(url, run string, plan fault.Plan, s settings.Settings) *client {
	return &client{
		http: &http.Client{Timeout: tryTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}},
		url:  url, run: run, plan: plan, orders: s.Orders, seed: s.Seed,
		random: rand.New(rand.NewPCG(s.Seed, 0)), cuts: rand.New(rand.NewPCG(s.Seed, 1)),
	}
}

// order is one that is to be placed.
type order struct {
	body
	key      string        // under which it is placed, however often it is asked for
	patience time.Duration // of the first request, where it is cut off
}

// place places all orders, while prices change, and returns the ids that were
// answered.
func (c *client) place(ctx context.Context) ([]string, error) {
	defer c.http.CloseIdleConnections()
	work := make(chan order)
	var all sync.WaitGroup
	var pricesErr error
	all.Go(func() { pricesErr = c.changePrices(ctx) })
	for range clients {
		all.Go(func() {
			for o := range work {
				c.one(ctx, o)
			}
		})
	}
	for i := range c.orders {
		o := order{body: body{
			Customer: fmt.Sprintf("customer-%02d", c.random.IntN(customers)), SKU: fault.SKU(i),
			Quantity: 1 + c.random.IntN(5), Amount: float64(100+c.random.IntN(99900)) / 100,
		}}
		o.key, o.patience = c.run+"-"+o.SKU, time.Duration(c.cuts.Int64N(int64(maxPatience)))
		select {
		case work <- o:
		case <-ctx.Done():
		}
	}
	close(work)
	all.Wait()
	return c.ids, errors.Join(append(c.errs, pricesErr)...)
}

// one places an order, which is one however often it is asked for.
func (c *client) one(ctx context.Context, o order) {
	var id string
	var err error
	switch {
	case c.plan.Hits(fault.PlaceTwice, o.SKU):
		id, err = c.twice(ctx, o)
	case c.plan.Hits(fault.PlaceAgain, o.SKU):
		c.cutOff(ctx, o)
		id, err = c.persist(ctx, o)
	default:
		id, err = c.persist(ctx, o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("place order %s: %w", o.SKU, err))
		return
	}
	c.placed.Add(1)
	c.ids = append(c.ids, id)
}

// twice asks for an order twice at once, as a double click does.
func (c *client) twice(ctx context.Context, o order) (string, error) {
	var ids [2]string
	var errs [2]error
	var both sync.WaitGroup
	for i := range ids {
		both.Go(func() { ids[i], errs[i] = c.persist(ctx, o) })
	}
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return "", err
	}
	if ids[0] != ids[1] {
		return "", fmt.Errorf("it was asked for twice, and became two orders: %s and %s", ids[0], ids[1])
	}
	return ids[0], nil
}

// cutOff asks for an order and does not wait for the answer: where one comes it is
// as good as lost.
func (c *client) cutOff(ctx context.Context, o order) {
	ctx, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	_, _ = c.post(ctx, o) // nobody is there to read it
}

// persist asks for an order, again where the shop says that it has failed.
func (c *client) persist(ctx context.Context, o order) (id string, err error) {
	for range tries {
		if id, err = c.post(ctx, o); err == nil || backoff.Wait(ctx, betweenTries) != nil {
			return id, err
		}
	}
	return "", err
}
