package outage_test

import (
	"context"
	"database/sql"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// closed returns an address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func dial(t *testing.T, ctx context.Context, d *net.Dialer) error {
	t.Helper()
	_, err := d.DialContext(ctx, "tcp", closed(t))
	return err
}

func dialUnix(t *testing.T) error {
	t.Helper()
	_, err := (&net.Dialer{}).DialContext(t.Context(), "unix", filepath.Join(t.TempDir(), "s"))
	return err
}

func viaProxy(t *testing.T) error {
	t.Helper()
	proxy := closed(t)
	tr := &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) { return r.URL.Parse("http://" + proxy) }}
	return get(t, "http://example.invalid/", &http.Client{Transport: tr})
}

func cancelled(t *testing.T) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return dial(t, ctx, &net.Dialer{})
}

// serve hands each connection to f and returns the address.
func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
		}
	}()
	return l.Addr().String()
}

func hangUp(c net.Conn) {
	_, _ = c.Read(make([]byte, 4096)) // what is unread would turn the end into a reset
	_ = c.Close()
}

func reset(c net.Conn) {
	_, _ = c.Read(make([]byte, 1))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func read(t *testing.T, address string) error {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("hello"))
	_, err = c.Read(make([]byte, 1))
	return err
}

func readDeadline(t *testing.T) error {
	t.Helper()
	c, err := net.Dial("tcp", serve(t, func(net.Conn) {}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	return err
}

func closedHere(t *testing.T) error {
	t.Helper()
	c, err := net.Dial("tcp", serve(t, func(net.Conn) {}))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_, err = c.Write([]byte("x"))
	return err
}

func brokenPipe(t *testing.T) error {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_ = r.Close()
	_, err = w.WriteString("x")
	return err
}

func get(t *testing.T, address string, client *http.Client) error {
	t.Helper()
	if client == nil {
		client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	return do(client, r)
}

func do(client *http.Client, r *http.Request) error {
	answer, err := client.Do(r)
	if err == nil {
		_ = answer.Body.Close()
	}
	return err
}

// slow asks a server that does not answer: with a time-out of the client's, or
// of the request's context where that is 0.
func slow(t *testing.T, limit time.Duration) error {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	if limit > 0 {
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
	}
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return do(&http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}, r)
}

func certificate(t *testing.T) error {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = nil
	s.StartTLS()
	t.Cleanup(s.Close)
	return get(t, s.URL, nil)
}

// lookup asks the name server at that address.
func lookup(t *testing.T, server string) error {
	t.Helper()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server)
	}}
	_, err := (&net.Dialer{Resolver: r}).DialContext(t.Context(), "tcp", "crm.example.:80")
	return err
}

// nameServer knows no name.
func nameServer(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			b[2], b[3] = 0x81, 0x83 // an answer: no such name
			_, _ = c.WriteTo(b[:n], from)
		}
	}()
	return c.LocalAddr().String()
}

func openSQLite(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(0)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func unopened(t *testing.T) error {
	t.Helper()
	_, err := openSQLite(t, filepath.Join(t.TempDir(), "unmounted", "x.db")).ExecContext(t.Context(), "CREATE TABLE t (a TEXT)")
	return err
}

func locked(t *testing.T) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.db")
	first, second := openSQLite(t, path), openSQLite(t, path)
	tx, err := first.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	_, err = second.ExecContext(t.Context(), "CREATE TABLE t (a TEXT)")
	return err
}

func duplicate(t *testing.T) error {
	t.Helper()
	_, err := openSQLite(t, filepath.Join(t.TempDir(), "x.db")).ExecContext(t.Context(),
		"CREATE TABLE t (a TEXT PRIMARY KEY); INSERT INTO t VALUES ('a'); INSERT INTO t VALUES ('a')")
	return err
}
