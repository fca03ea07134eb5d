package partner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// job is a callback that is to be made.
type job struct {
	number string
	after  time.Duration
	forged bool // somebody else calls back, and then the courier
}

// later has callbacks be made by Run.
func (c *Courier) later(jobs ...job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, jobs...)
	select {
	case c.more <- struct{}{}:
	default:
	}
}

func (c *Courier) next() (job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.jobs) == 0 {
		return job{}, false
	}
	j := c.jobs[0]
	c.jobs = c.jobs[1:]
	return j, true
}

// CallsBackAt says where the shop takes callbacks. It is called once, before
// anything is booked.
func (c *Courier) CallsBackAt(url string) { c.address <- url }

// Run calls back until ctx ends; what is due later is then left out.
func (c *Courier) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		for j, ok := c.next(); ok; j, ok = c.next() {
			all.Go(func() {
				if backoff.Wait(ctx, j.after) != nil {
					return
				}
				c.callBack(ctx, j)
				if j.forged {
					c.callBack(ctx, job{number: j.number})
				}
			})
		}
		select {
		case <-c.more:
		case <-ctx.Done():
			return nil
		}
	}
}

// tries is how often a callback that was not taken is made again.
const tries = 20

// callBack calls back until the shop has taken it, or refused it.
func (c *Courier) callBack(ctx context.Context, j job) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range tries {
		answer, err := c.call(ctx, client, j)
		if err == nil {
			c.mu.Lock()
			c.answers[answer]++
			c.mu.Unlock()
			return
		}
		if backoff.Wait(ctx, 100*time.Millisecond) != nil {
			return
		}
	}
}

// call calls once, and returns the shop's word for what became of it. An error says
// that it is to be made again.
func (c *Courier) call(ctx context.Context, client *http.Client, j job) (answer string, err error) {
	url := <-c.address
	c.address <- url
	c.mu.Lock()
	b := c.bookings[j.number]
	c.mu.Unlock()
	signer := c.signer
	if j.forged {
		signer, b = c.forger, Booking{SKU: b.SKU, Status: "failed", Tracking: "stolen"}
	}
	body, err := report(j.number, b)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	if request.Header, err = header(signer, j.number, body); err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return "", err
	}
	var said struct {
		Status any `json:"status"` // a word, or of a problem the number
	}
	if response.StatusCode >= 500 || json.Unmarshal(text, &said) != nil {
		return "", fmt.Errorf("the shop answered %s", response.Status)
	}
	return fmt.Sprint(said.Status), nil
}

func header(signer *webhook.Signer, number string, body []byte) (http.Header, error) {
	h, err := signer.Header("msg_"+number, time.Now(), body)
	if err != nil {
		return nil, err
	}
	h.Set("Content-Type", "application/json")
	return h, nil
}
