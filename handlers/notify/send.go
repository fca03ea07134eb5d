package notify

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
	"github.com/sluicegate/sluicegate/internal/text"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

const (
	minRead  = 64 << 10 // of an answer, so that a Rule sees more than what is kept
	maxError = 1 << 10
)

// errTimeout is the cause of a POST that took too long.
var errTimeout = errors.New("no answer in time")

// result is what became of a POST.
type result struct {
	at        time.Time
	duration  time.Duration
	delivered bool
	cutOff    bool // because we stop, or lost the notification: it does not count
	status    int
	response  string
	err       string
	asked     time.Duration // by Retry-After; less than 0: nothing
}

// gone says that the target wants no more.
func (r result) gone() bool { return r.status == http.StatusGone }

// throttles says that the target wants less.
func (r result) throttles() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusServiceUnavailable:
		return r.asked >= 0
	}
	return false
}

// post makes an attempt. No transaction is open.
func (n *Notifier) post(ctx context.Context, j *job) result {
	began, started := n.clock(), time.Now()
	r := result{at: began, asked: -1}
	err := n.exchange(ctx, j, began, &r)
	r.duration = time.Since(started)
	r.delivered = err == nil
	if err != nil {
		r.err = text.Short(j.scrub(err.Error()), maxError)
		r.cutOff = ctx.Err() != nil
	}
	return r
}

func (n *Notifier) exchange(parent context.Context, j *job, began time.Time, r *result) error {
	signer, err := webhook.NewSigner(j.target.secrets...)
	if err != nil {
		return fmt.Errorf("secrets of the target: %w", err)
	}
	header, err := signer.Header("msg_"+j.uid, began, j.payload)
	if err != nil {
		return err //nolint:wrapcheck // it says what it is
	}
	ctx, cancel := context.WithTimeoutCause(parent, n.cfg.Timeout, errTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.target.url, bytes.NewReader(j.payload))
	if err != nil {
		return errors.New("URL of the target cannot be used")
	}
	header.Set("Content-Type", j.contentType)
	header.Set("User-Agent", userAgent)
	req.Header = header
	resp, err := n.client.Do(req)
	if err != nil {
		return failureOf(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	r.status, r.asked = resp.StatusCode, retryAfter(resp.Header, began)
	body, readErr := io.ReadAll(io.LimitReader(resp.Body, int64(max(n.cfg.MaxResponse, minRead))))
	r.response = text.Short(j.scrub(string(body)), n.cfg.MaxResponse)
	switch {
	case r.status < 200 || r.status > 299:
		return fmt.Errorf("HTTP %d", r.status)
	case j.target.options.Rule.any():
		return nil // whatever becomes of the body
	case readErr != nil && !errors.Is(readErr, netguard.ErrTooLarge):
		return fmt.Errorf("read the answer: %w", failureOf(ctx, readErr))
	}
	return j.target.options.Rule.check(body)
}

// failureOf words what happened, without the URL, which may hold a secret.
func failureOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	err = netguard.Strip(err)
	if netguard.Timeout(err) {
		return errTimeout
	}
	return err
}

// retryAfter reads the header of that name: seconds, or a time. Less than 0 is
// none; so is what cannot be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return -1
	}
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		if seconds < 0 {
			return -1
		}
		return time.Duration(min(seconds, int64((100*365*24*time.Hour).Seconds()))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return -1
	}
	return max(at.Sub(now), 0)
}

// scrub takes the target's secrets out of what the other side said.
func (j *job) scrub(s string) string {
	for _, secret := range j.hidden() {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}

// hidden are the secrets, and what the URL may hold of one.
func (j *job) hidden() []string {
	out := append([]string(nil), j.target.secrets...)
	if u, err := url.Parse(j.target.url); err == nil {
		for _, values := range u.Query() {
			for _, v := range values {
				if len(v) >= 8 { // less is a word
					out = append(out, v, url.QueryEscape(v))
				}
			}
		}
		if u.RawQuery != "" {
			out = append(out, u.RawQuery)
		}
	}
	return out
}
