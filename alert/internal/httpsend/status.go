package httpsend

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/text"
)

// DefaultWait is how long a service that limits without saying for how long is
// left alone; MaxWait is the longest that it may ask for.
const (
	DefaultWait = time.Minute
	MaxWait     = 24 * time.Hour
)

// status turns an answer that is no 2xx into an error.
func (c *Client) status(resp *http.Response, body []byte) error {
	code := resp.StatusCode
	what := fmt.Sprintf("HTTP %d", code)
	if reason := c.Excerpt(body); reason != "" {
		what += ": " + reason
	}
	switch code {
	case http.StatusTooManyRequests:
		return c.Limited(what, c.retryAfter(resp.Header, DefaultWait))
	case http.StatusServiceUnavailable:
		if wait := c.retryAfter(resp.Header, 0); wait > 0 {
			return c.Limited(what, wait)
		}
		return c.Failed(what)
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusMisdirectedRequest:
		return c.Failed(what)
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusGone:
		return c.Broken(what)
	}
	switch {
	case code >= 500:
		return c.Failed(what)
	case code >= 300 && code <= 399:
		return c.Broken(fmt.Sprintf("HTTP %d: redirects are not followed; the address must be the final one", code))
	default:
		return c.Refused(what)
	}
}

// retryAfter reads seconds or a date.
func (c *Client) retryAfter(h http.Header, def time.Duration) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds >= 0 {
		if seconds > int64(MaxWait/time.Second) {
			return MaxWait
		}
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(c.Now()), 0), MaxWait)
	}
	return def
}

// Excerpt is the beginning of what a service answered, on one line. Secrets are
// taken out first: of one that is cut off, nobody would find the rest.
func (c *Client) Excerpt(body []byte) string {
	answer := c.scrub.Text(string(body))
	if len(answer) > 1000 {
		answer = answer[:1000]
	}
	return text.Short(strings.Join(strings.Fields(text.Clean(answer)), " "), 200)
}
