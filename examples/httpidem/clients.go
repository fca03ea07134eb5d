package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// workers are how many clients are at work at a time.
const workers = 8

var tenants = []string{"acme", "globex", "initech"}

// clients are impatient, and everything that they send may be lost on its way.
type clients struct {
	shop      *shop
	seed      uint64
	transport *http.Transport

	requests, replayed, conflicts, mismatches, leftEarly, locked, leaked atomic.Int64
}

func newClients(s *shop, seed uint64) *clients {
	return &clients{shop: s, seed: seed, transport: &http.Transport{MaxIdleConnsPerHost: 4 * workers}}
}

func (c *clients) close() { c.transport.CloseIdleConnections() }

func (c *clients) tally() tally {
	return tally{
		Requests: int(c.requests.Load()), Replayed: int(c.replayed.Load()), Conflicts: int(c.conflicts.Load()),
		Mismatches: int(c.mismatches.Load()), LeftEarly: int(c.leftEarly.Load()), Locked: int(c.locked.Load()), Leaked: int(c.leaked.Load()),
	}
}

// each calls do for 0 to n-1, by several workers.
func (c *clients) each(ctx context.Context, n int, do func(ctx context.Context, i int, random *rand.Rand) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i, rand.New(rand.NewPCG(c.seed, uint64(i)+1))); err != nil { //nolint:gosec // i is not negative
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, context.Cause(ctx))...)
}

// reply is what came back.
type reply struct {
	status   int
	replayed bool
	body     []byte
}

func (c *clients) send(ctx context.Context, method, path, tenant, header, value string, body any) (reply, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return reply{}, fmt.Errorf("encode request: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.shop.url+path, bytes.NewReader(b))
	if err != nil {
		return reply{}, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("X-Tenant", tenant)
	r.Header.Set("Content-Type", "application/json")
	if header != "" {
		r.Header.Set(header, value)
	}
	c.requests.Add(1)
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return reply{}, fmt.Errorf("send request: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := reply{status: resp.StatusCode, replayed: resp.Header.Get("Idempotency-Replayed") == "true"}
	if out.body, err = io.ReadAll(resp.Body); err != nil {
		return reply{}, fmt.Errorf("read response: %w", err)
	}
	if out.replayed {
		c.replayed.Add(1)
	}
	if out.status == http.StatusConflict {
		c.conflicts.Add(1)
	}
	return out, nil
}

// insist sends an order until it is answered, and returns the answer.
func (c *clients) insist(ctx context.Context, path, header, value string, o order) (order, error) {
	for {
		got, err := c.send(ctx, http.MethodPost, path, o.Tenant, header, value, o)
		switch {
		case err != nil:
			return order{}, err
		case got.status == http.StatusCreated:
			var answer order
			if err := json.Unmarshal(got.body, &answer); err != nil {
				return order{}, fmt.Errorf("read answer: %w", err)
			}
			if answer.Tenant != o.Tenant || answer.Number != o.Number {
				c.leaked.Add(1)
			}
			return answer, nil
		case got.status == http.StatusConflict, got.status == http.StatusServiceUnavailable:
			wait(ctx, 2*time.Millisecond) // a patient client would heed Retry-After
		default:
			return order{}, fmt.Errorf("order refused with status %d: %s", got.status, got.body)
		}
	}
}

// byKey wants one order, and asks for it several times. Three tenants have the key.
func (c *clients) byKey(ctx context.Context, i int, random *rand.Rand) error {
	key := strconv.Quote("order-" + strconv.Itoa(i/len(tenants)))
	o := order{Tenant: tenants[i%len(tenants)], Number: "k-" + strconv.Itoa(i/len(tenants))}
	if random.IntN(3) == 0 { // the client is gone before the answer
		brief, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(1500))*time.Microsecond)
		if _, err := c.send(brief, http.MethodPost, "/orders", o.Tenant, "Idempotency-Key", key, o); err != nil {
			c.leftEarly.Add(1)
		}
		cancel()
	}
	if err := c.same(ctx, 1+random.IntN(4), "/orders", "Idempotency-Key", key, o); err != nil {
		return err
	}
	other := o
	other.Number += "-changed"
	got, err := c.send(ctx, http.MethodPost, "/orders", o.Tenant, "Idempotency-Key", key, other)
	if err == nil && got.status == http.StatusUnprocessableEntity {
		c.mismatches.Add(1)
	}
	return err
}

// byForm gets a form with a token, and clicks it twice.
func (c *clients) byForm(ctx context.Context, i int, _ *rand.Rand) error {
	o := order{Tenant: tenants[i%len(tenants)], Number: "f-" + strconv.Itoa(i)}
	got, err := c.send(ctx, http.MethodPost, "/tokens", o.Tenant, "", "", nil)
	if err != nil {
		return err
	}
	var form struct{ Token string }
	if err := json.Unmarshal(got.body, &form); err != nil || got.status != http.StatusCreated {
		return fmt.Errorf("token refused with status %d", got.status)
	}
	// Another tenant that has got hold of the token neither orders with it nor burns it.
	thief := tenants[(i+1)%len(tenants)]
	if got, err = c.send(ctx, http.MethodPost, "/forms", thief, "Submit-Token", form.Token, o); err != nil {
		return err
	}
	if got.status != http.StatusConflict {
		return fmt.Errorf("a stolen token was answered with status %d", got.status)
	}
	return c.same(ctx, 2, "/forms", "Submit-Token", form.Token, o)
}

// same insists n times at once, and checks that the answers are one.
func (c *clients) same(ctx context.Context, n int, path, header, value string, o order) error {
	answers, errs := make([]order, n), make([]error, n)
	var wg sync.WaitGroup
	for j := range n {
		wg.Go(func() { answers[j], errs[j] = c.insist(ctx, path, header, value, o) })
	}
	wg.Wait()
	for _, a := range answers[1:] {
		if a != answers[0] {
			c.leaked.Add(1)
		}
	}
	return errors.Join(errs...)
}

// edit changes one order, or finds it locked.
func (c *clients) edit(ctx context.Context, _ int, _ *rand.Rand) error {
	got, err := c.send(ctx, http.MethodPut, "/orders/1", tenants[0], "", "", nil)
	switch {
	case err != nil:
		return err
	case got.status == http.StatusConflict:
		c.locked.Add(1)
	case got.status != http.StatusNoContent:
		return fmt.Errorf("edit refused with status %d", got.status)
	}
	return nil
}
