package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
)

// maxRead is how much one connection may bring: the library would read an
// endless line into memory.
const maxRead = 1 << 20

var errTooMuch = errors.New("the server sends more than 1 MiB")

// line is the connection of one mail, which ends with it.
type line struct {
	address string
	ssl     *tls.Config // nil: plain, at first

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

// dial is what the library calls.
func (l *line) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, l.address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	conn = &cappedConn{Conn: conn}
	if err := l.keep(conn); err != nil {
		return nil, err
	}
	if l.ssl == nil {
		return conn, nil
	}
	encrypted := tls.Client(conn, l.ssl)
	if err := encrypted.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("begin TLS: %w", err)
	}
	return encrypted, nil
}

// keep takes conn, which ends with the line.
func (l *line) keep(conn net.Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close() //nolint:errcheck // it was not used
		return net.ErrClosed
	}
	l.conn = conn
	return nil
}

func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed = true; l.conn != nil {
		l.conn.Close() //nolint:errcheck // it has served
	}
}

// cappedConn bounds what is read.
type cappedConn struct {
	net.Conn
	read int
}

func (c *cappedConn) Read(p []byte) (int, error) {
	if c.read > maxRead {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p)
	c.read += n
	return n, err
}
