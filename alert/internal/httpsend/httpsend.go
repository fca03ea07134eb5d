// Package httpsend is what the alert channels that speak HTTP have in common:
// one request within its time, an answer of bounded size, errors of the right
// class, and no secret in any of them.
package httpsend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// DefaultTimeout is that of the channels' Config.Timeout.
const DefaultTimeout = 10 * time.Second

// maxAnswer is how much of an answer is read.
const maxAnswer = 64 << 10

// Config of a Client. The zero value is ready to use.
type Config struct {
	Client  *http.Client     // default: one of its own
	Timeout time.Duration    // of one request; default DefaultTimeout
	Now     func() time.Time // default time.Now
	Secrets []string         // what errors must not show, besides what the URL holds
}

// Client sends requests to one target. It is safe for concurrent use.
type Client struct {
	target  *Target
	http    *http.Client
	timeout time.Duration
	Now     func() time.Time
	scrub   *Scrubber
}

// New returns a client of target, which may be nil where the URL was refused:
// all problems are reported together.
func New(target *Target, cfg Config) (*Client, error) {
	if cfg.Timeout < 0 {
		return nil, fmt.Errorf("Config.Timeout: %s is negative; use a duration, or 0 for %s", cfg.Timeout, DefaultTimeout)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	client := &http.Client{}
	if cfg.Client != nil {
		copied := *cfg.Client
		client = &copied
	}
	// A redirect would carry the message, and perhaps its token, elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		target: target, http: client, timeout: cfg.Timeout, Now: cfg.Now,
		scrub: NewScrubber(append(target.secrets(), cfg.Secrets...)...),
	}, nil
}

// Request is what is sent.
type Request struct {
	Method string            // default POST
	Query  map[string]string // added to that of the target
	Header http.Header
	Body   []byte
	// StatusOnly says that a 2xx is all that is asked for: what follows it is not
	// read, and cannot make a failure of what was accepted.
	StatusOnly bool
}

// Answer is a 2xx.
type Answer struct {
	Status int
	Body   []byte // its first 64 KiB
}

// Do sends r and returns the answer where its status is a 2xx. Every error is a
// *alert.SendError, or wraps the end of ctx in one.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	// The end of ctx is seen even where no transport would look at it.
	if err := ctx.Err(); err != nil {
		return Answer{}, c.transport(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	var body io.Reader // none at all for a GET
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, c.target.with(r.Query), body)
	if err != nil {
		return Answer{}, c.Refused("build the request: " + err.Error())
	}
	req.Header.Set("User-Agent", "sluicegate")
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, c.transport(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	success := resp.StatusCode >= 200 && resp.StatusCode <= 299
	if success && r.StatusOnly {
		return Answer{Status: resp.StatusCode}, nil
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if !success {
		return Answer{}, c.status(resp, answer)
	}
	if err != nil {
		return Answer{}, c.transport(ctx, err)
	}
	return Answer{Status: resp.StatusCode, Body: answer}, nil
}

// transport is the error of a request that got no whole answer.
func (c *Client) transport(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		err = cause // the transport words it in many ways
	}
	return &alert.SendError{Retryable: true, Err: c.scrub.Error("send to "+c.target.Host(), err)}
}

// Failed is an error that may pass.
func (c *Client) Failed(text string) error {
	return &alert.SendError{Retryable: true, Err: errors.New(c.scrub.Text(text))}
}

// Refused is an error of this notification only.
func (c *Client) Refused(text string) error {
	return &alert.SendError{Err: errors.New(c.scrub.Text(text))}
}

// Broken is an error that a person must mend.
func (c *Client) Broken(text string) error {
	return &alert.SendError{Permanent: true, Err: errors.New(c.scrub.Text(text))}
}

// Limited is an error of a service that takes nothing for a while.
func (c *Client) Limited(text string, wait time.Duration) error {
	return &alert.SendError{Until: c.Now().Add(wait), Err: errors.New(c.scrub.Text(text))}
}

// String names the target without anything secret.
func (c *Client) String() string { return c.target.Host() }
