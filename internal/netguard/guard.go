package netguard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Defaults and bounds of a Config.
const (
	DefaultTimeout = 15 * time.Second
	DefaultMaxBody = 64 << 10
	maxTimeout     = 10 * time.Minute
	maxMaxBody     = 64 << 20
	maxHeader      = 64 << 10
)

// ErrTooLarge is what reading an answer ends with where it is longer than
// Config.MaxBody; what was read until then is good.
var ErrTooLarge = errors.New("answer is too large")

// Config of a Guard. The zero value is ready to use, and lets public addresses
// only be connected to.
type Config struct {
	// AllowPrivate lets loopback, private and carrier-grade NAT addresses be
	// connected to. Link-local ones and the metadata services of clouds stay closed.
	AllowPrivate bool
	// Allow are addresses that may be connected to whatever they are.
	Allow []netip.Prefix
	// Timeout is of a whole request, to the last byte of its answer. Default 15 s, up
	// to 10 min.
	Timeout time.Duration
	// MaxBody is how much of an answer can be read, in bytes. Default 64 KiB, up to 64 MiB.
	MaxBody int64
	// MaxIdle is how many unused connections are kept, in all. Default 100; 2 of
	// one host.
	MaxIdle int
	// TLS is cloned. Default: the roots of this machine, TLS 1.2 at least.
	TLS *tls.Config
	// Resolver of names. Default net.DefaultResolver.
	Resolver *net.Resolver
}

// Guard makes connections to addresses that are allowed. It is safe for concurrent
// use.
type Guard struct{ cfg Config }

// New returns a guard. Invalid values are errors that name the field as one of
// Config, all together.
func New(cfg Config) (*Guard, error) {
	var errs []error
	if cfg.Timeout < 0 || cfg.Timeout > maxTimeout {
		errs = append(errs, fmt.Errorf("Config.Timeout: %s, use up to %s, or 0 for %s", cfg.Timeout, maxTimeout, DefaultTimeout))
	}
	if cfg.MaxBody < 0 || cfg.MaxBody > maxMaxBody {
		errs = append(errs, fmt.Errorf("Config.MaxBody: %d, use up to %d, or 0 for %d", cfg.MaxBody, maxMaxBody, DefaultMaxBody))
	}
	if cfg.MaxIdle < 0 {
		errs = append(errs, fmt.Errorf("Config.MaxIdle: %d, must not be negative", cfg.MaxIdle))
	}
	for i, p := range cfg.Allow {
		if !p.IsValid() {
			errs = append(errs, fmt.Errorf("Config.Allow: number %d is no prefix", i+1))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.MaxIdle == 0 {
		cfg.MaxIdle = 100
	}
	cfg.Allow = append([]netip.Prefix(nil), cfg.Allow...)
	return &Guard{cfg: cfg}, nil
}

// Client returns a client of the guard, with connections of its own: whoever
// ends its use calls CloseIdleConnections. It follows no redirect: the answer is the
// 3xx. Compressed answers are not asked for, and not unpacked. Its errors
// contain the URL; Strip takes it out.
func (g *Guard) Client() *http.Client {
	config := g.cfg.TLS.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	dialer := &net.Dialer{ControlContext: g.control, Resolver: g.cfg.Resolver, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		Proxy:                  nil, // a proxy would connect for us, and knows no guard
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    g.cfg.Timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // a few bytes unpack to any number
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           g.cfg.MaxIdle,
		IdleConnTimeout:        30 * time.Second,
	}
	return &http.Client{
		Transport:     &capped{Transport: transport, max: g.cfg.MaxBody},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       g.cfg.Timeout,
	}
}

// control is asked with the address that is about to be connected to.
func (g *Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil || (network != "tcp4" && network != "tcp6") {
		return fmt.Errorf("%w: %s", ErrRefused, network)
	}
	return g.check(addr.Addr())
}

// capped cuts off bodies.
type capped struct {
	*http.Transport
	max int64
}

// RoundTrip is http.RoundTripper's.
func (c *capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, left: c.max}
	return resp, nil
}

type body struct {
	io.ReadCloser
	left int64
}

// Read gives the bytes up to the limit, and ErrTooLarge where there are more.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	p = p[:min(int64(len(p)), b.left+1)] // one more than allowed tells whether there is more
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
