package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// line is one connection, made again when it was lost. It is used by one
// goroutine at a time; the end of a context cuts what is under way on it.
type line struct {
	d       *driver
	timeout time.Duration // for a reply
	mu      sync.Mutex
	client  *goredis.Client
	dialed  chan net.Conn // made for client, which has not asked for it yet
}

func (d *driver) newLine(timeout time.Duration) *line { return &line{d: d, timeout: timeout} }

// do calls f with the connection and judges its error: what is no reply of the
// server, and replies that say that it does not serve now, are marked as
// unavailable. f must return an error that was no reply rather than one that was.
func (l *line) do(ctx context.Context, f func(*goredis.Client) error) error {
	client, err := l.connect(ctx)
	if err != nil {
		return l.d.away(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	err = f(client)
	if !stop() {
		l.close()
	}
	return l.judge(ctx, err)
}

// judge judges an error. A server that does not serve now is left: behind its
// address there may be another one by the next time.
func (l *line) judge(ctx context.Context, err error) error {
	err = l.d.judge(ctx, err)
	if failure.IsUnavailable(err) {
		l.close()
	}
	return err
}

// connect dials by itself: go-redis's pool would dial again and again, and
// write about each attempt to the standard error.
func (l *line) connect(ctx context.Context) (*goredis.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		return l.client, ctx.Err()
	}
	conn, err := l.d.dial(ctx)
	if err != nil {
		return nil, err
	}
	dialed := make(chan net.Conn, 1)
	dialed <- conn
	l.dialed = dialed
	l.client = goredis.NewClient(&goredis.Options{
		Addr: l.d.addr, DB: l.d.db, Username: l.d.username, Password: l.d.password,
		Protocol: 2, DisableIdentity: true,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			select {
			case conn := <-dialed:
				return conn, nil
			default: // the connection was found dead before it was used
				return l.d.dial(ctx)
			}
		},
		// A command that was cut off may have been carried out: whoever called
		// decides whether to send it again.
		MaxRetries: -1, DialerRetries: 1,
		PoolSize: 2, PipelinePoolSize: -1,
		ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10, // a batch is some hundred KiB
		DialTimeout: l.d.dialTimeout, ReadTimeout: l.timeout, WriteTimeout: replyTimeout,
		PoolTimeout: replyTimeout,
	})
	return l.client, nil
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != nil {
		_ = l.client.Close()
		l.client = nil
		select {
		case conn := <-l.dialed:
			_ = conn.Close()
		default:
		}
	}
}

func (d *driver) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.dialTimeout)
	defer cancel()
	dialer := &net.Dialer{}
	if d.tls == nil {
		return dialer.DialContext(ctx, "tcp", d.addr)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: d.tls}).DialContext(ctx, "tcp", d.addr)
}

// notServing begins the replies of a server that is there but does not serve
// now: starting, failing over, out of memory or connections, or one that does
// not let us in.
var notServing = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "MISCONF", "NOREPLICAS", "BUSY ",
	"ERR max number of clients", "NOAUTH", "WRONGPASS", "UNBLOCKED",
}

// errCluster says what a redirection means.
var errCluster = errors.New("this is a node of a Redis Cluster, which is not supported")

func (d *driver) judge(ctx context.Context, err error) error {
	var reply goredis.Error
	switch {
	case err == nil, errors.Is(err, goredis.Nil):
		return err
	case ctx.Err() != nil, !errors.As(err, &reply):
		return d.away(ctx, err)
	}
	text := reply.Error()
	for _, prefix := range notServing {
		if strings.HasPrefix(text, prefix) {
			return d.away(ctx, err)
		}
	}
	if strings.HasPrefix(text, "MOVED ") || strings.HasPrefix(text, "CROSSSLOT ") {
		return fmt.Errorf("%w (%w)", errCluster, err)
	}
	return err
}

// away marks err as unavailable and says why the wait ended, if it did.
func (d *driver) away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return failure.Unavailable(fmt.Errorf("reach redis: %w (%w)", context.Cause(ctx), err))
	}
	return failure.Unavailable(fmt.Errorf("reach redis: %w", err))
}
