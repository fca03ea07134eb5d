package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/netguard"
)

// numberMark is replaced by the number in Config.QueryURL.
const numberMark = "{number}"

// maxRetryAfter bounds what a service may ask for.
const maxRetryAfter = time.Hour

func queryURL(pattern, number string) string {
	return strings.ReplaceAll(pattern, numberMark, url.PathEscape(number))
}

// asks reports whether results are asked for.
func (c *Caller) asks() bool { return c.cfg.QueryURL != "" || c.cfg.Query != nil }

// request sends a call.
func (c *Caller) request(ctx context.Context, v row) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, v.Method, v.URL, bytes.NewReader(v.Body))
	if err != nil {
		return Response{}, errors.New("request cannot be made") // the error shows the URL
	}
	for name, value := range v.Header {
		r.Header.Set(name, value)
	}
	r.Header.Set("Idempotency-Key", v.Number)
	return c.exchange(r, v.Body)
}

// question asks for the result of a call.
func (c *Caller) question(ctx context.Context, v row) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if c.cfg.Query != nil {
		r, err := c.cfg.Query(ctx, v.View)
		if err != nil {
			return Response{}, fmt.Errorf("make query: %w", err)
		}
		return c.exchange(r.WithContext(ctx), nil)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, queryURL(c.cfg.QueryURL, v.Number), http.NoBody)
	if err != nil {
		return Response{}, errors.New("query cannot be made") // the error shows the URL
	}
	r.Header.Set("Accept", "application/json")
	return c.exchange(r, nil)
}

// exchange sends r and reads the whole answer. Errors do not show the URL, which may
// hold a secret.
func (c *Caller) exchange(r *http.Request, body []byte) (out Response, err error) {
	if c.cfg.Authorize != nil {
		if err := c.cfg.Authorize(r, body); err != nil {
			return Response{}, fmt.Errorf("authorize request: %w", err)
		}
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return Response{}, fmt.Errorf("reach the service: %w", netguard.Strip(err))
	}
	defer func() { _ = resp.Body.Close() }() // it was read as far as it matters
	out = Response{StatusCode: resp.StatusCode, Header: resp.Header}
	limit := int64(c.cfg.MaxBody)
	out.Body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case int64(len(out.Body)) > limit, errors.Is(err, netguard.ErrTooLarge):
		return out, fmt.Errorf("answer has more than %d bytes", limit)
	case err != nil:
		return out, fmt.Errorf("read answer: %w", netguard.Strip(err))
	}
	return out, nil
}

// retryAfter is what the answer asks for (RFC 9110, section 10.2.3), up to an
// hour; 0 where it does not.
func (r Response) retryAfter(now time.Time) time.Duration {
	value := r.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
