package label

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluicegate/sluicegate/middleware/retry"
)

// HTTP is a carrier with an HTTP API.
type HTTP struct {
	URL    string
	Client *http.Client
}

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 4 << 10

// StatusError is an answer that is no label. 502, 503 and 504 are known as an outage by
// their StatusCode.
type StatusError struct{ Status int }

func (e *StatusError) Error() string { return fmt.Sprintf("the carrier answered %d", e.Status) }

// StatusCode is the status of the answer.
func (e *StatusError) StatusCode() int { return e.Status }

// Make posts for a label. What the answer means is said here, once, by the marks of package retry.
func (h *HTTP) Make(ctx context.Context, key, country string) (tracking string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL+"?country="+url.QueryEscape(country), nil)
	if err != nil {
		return "", retry.Permanent(errors.New("the carrier's URL is not one"))
	}
	req.Header.Set("Idempotency-Key", key)
	resp, err := h.Client.Do(req)
	if err != nil {
		return "", fmt.Errorf("call carrier: %w", err) // refused and reset connections are outages
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return "", fmt.Errorf("read answer of carrier: %w", err)
	case resp.StatusCode == http.StatusOK:
		return string(body), nil
	}
	failed := &StatusError{resp.StatusCode}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			return "", retry.RetryAfter(failed, time.Duration(s)*time.Second)
		}
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "", retry.Permanent(failed)
	}
	return "", failed
}
