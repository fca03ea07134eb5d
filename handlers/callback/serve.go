package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/internal/backoff"
)

// storeTimeout limits what is done in the database for one callback, look-ups
// and their waits not counted.
const storeTimeout = 10 * time.Second

// retryAfter is what a service is told to wait, in seconds, where a callback
// could not be stored.
const retryAfter = "5"

// ServeHTTP takes a callback. It is answered with 2xx only after it was stored; the
// package comment has all answers. A service that gives up waiting changes nothing:
// what it has sent is taken all the same.
func (c *Caller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		problem(w, http.StatusMethodNotAllowed, "callbacks are sent by POST")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(c.cfg.MaxBody)))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		c.tell(Fact{Kind: KindOversize, Err: err})
		problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", c.cfg.MaxBody))
		return
	}
	if err != nil {
		c.tell(Fact{Kind: KindMalformed, Err: err})
		problem(w, http.StatusBadRequest, "the body could not be read to its end")
		return
	}
	if err := c.verify(r, body); err != nil {
		// Which of the three it is would help whoever guesses.
		c.tell(Fact{Kind: KindForged, Err: err})
		problem(w, http.StatusUnauthorized, "the signature is missing, wrong or too old")
		return
	}
	number, result, err := c.cfg.Parse(r, body)
	if err == nil {
		err = c.checkResult(number, result)
	}
	if err != nil {
		c.tell(Fact{Kind: KindMalformed, Err: err})
		problem(w, http.StatusBadRequest, "the callback cannot be read: "+err.Error())
		return
	}
	kind, err := c.take(r.Context(), number, result)
	if err != nil {
		c.cfg.Logger.Warn("a callback could not be stored", "service", c.cfg.Service, "number", number, "error", err)
		w.Header().Set("Retry-After", retryAfter)
		problem(w, http.StatusServiceUnavailable, "the callback could not be stored; send it again")
		return
	}
	answer(w, kind)
}

func (c *Caller) checkResult(number string, r Result) error {
	if err := checkNumber(number); err != nil {
		return fmt.Errorf("number: %w", err)
	}
	if r.Status != Pending && r.Status != Succeeded && r.Status != Failed {
		return errors.New("status: is not pending, succeeded or failed")
	}
	if len(r.Data) > c.cfg.MaxBody {
		return fmt.Errorf("data: more than %d bytes", c.cfg.MaxBody)
	}
	return nil
}

// take applies a callback, or parks it where its call is not visible. A call that was
// submitted here is about to be committed, so its callback does not keep the
// service waiting; that of any other number is looked up again first.
func (c *Caller) take(ctx context.Context, number string, r Result) (Kind, error) {
	for n := 0; ; n++ {
		kind, err := c.stored(ctx, func(ctx context.Context) (Kind, error) { return c.report(ctx, number, ByCallback, r) })
		if !errors.Is(err, ErrNotFound) {
			return kind, err
		}
		if n >= c.cfg.LookUps || c.known.has(number) || !c.wait(ctx) {
			return c.stored(ctx, func(ctx context.Context) (Kind, error) { return KindParked, c.park(ctx, number, r) })
		}
	}
}

// stored gives fn a context that the end of the request does not end.
func (c *Caller) stored(ctx context.Context, fn func(context.Context) (Kind, error)) (Kind, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return fn(ctx)
}

// wait waits until the next look-up. It answers false where too many wait, or the
// service has given up.
func (c *Caller) wait(ctx context.Context) bool {
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > int64(c.cfg.MaxWaiting) {
		return false
	}
	return backoff.Wait(ctx, c.cfg.LookUpEvery) == nil
}
