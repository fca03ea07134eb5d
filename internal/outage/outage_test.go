package outage_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/internal/outage"
)

type statusError int

func (e statusError) Error() string   { return fmt.Sprintf("status %d", int(e)) }
func (e statusError) StatusCode() int { return int(e) }

// Each function makes the error that a program would get.
func TestWhatIsAnOutage(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) error{
		"a closed port":                       func(t *testing.T) error { return dial(t, t.Context(), &net.Dialer{}) },
		"a closed port, by HTTP":              func(t *testing.T) error { return get(t, "http://"+closed(t), nil) },
		"a proxy that is away":                viaProxy,
		"a server whose socket is not there":  func(t *testing.T) error { return dialUnix(t) },
		"a dial that took too long":           func(t *testing.T) error { return dial(t, t.Context(), &net.Dialer{Timeout: time.Nanosecond}) },
		"a connection that is reset":          func(t *testing.T) error { return read(t, serve(t, reset)) },
		"a connection that is reset, by HTTP": func(t *testing.T) error { return get(t, "http://"+serve(t, reset), nil) },
		"a server that hangs up, by HTTP":     func(t *testing.T) error { return get(t, "http://"+serve(t, hangUp), nil) },
		"a name server that is away":          func(t *testing.T) error { return lookup(t, closed(t)) },
		"HTTP 502":                            status(502),
		"HTTP 503":                            status(503),
		"HTTP 504":                            status(504),
		"PostgreSQL shuts down":               coded(&pgconn.PgError{Code: "57P01"}),
		"PostgreSQL has no connection left":   coded(&pgconn.PgError{Code: "53300"}),
		"MySQL shuts down":                    coded(&mysql.MySQLError{Number: 1053}),
		"MySQL's connection broke":            coded(mysql.ErrInvalidConn),
		"a connection that its pool gave up":  coded(driver.ErrBadConn),
		"a SQLite file that others hold":      locked,
		"Kafka, in sarama's words":            coded(errors.New("kafka: client has run out of available brokers to talk to")),
		"marked where it arose":               coded(failure.Unavailable(errors.New("closed for lunch"))),
		"one of several addresses that failed": func(t *testing.T) error {
			return errors.Join(errors.New("host 1"), dial(t, t.Context(), &net.Dialer{}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := make(t)
			if err == nil {
				t.Fatal("there was no error")
			}
			for _, err := range []error{err, fmt.Errorf("charge the card: %w", err), errors.Join(errors.New("x"), err)} {
				if !outage.Is(err) {
					t.Errorf("not recognised: %v (%T)", err, err)
				}
			}
			if outage.Is(failure.Permanent(err)) || outage.Is(fmt.Errorf("%w: %w", failure.ErrTimeout, err)) {
				t.Errorf("recognised in a permanent error, or in a time-out that we imposed: %v", err)
			}
		})
	}
}

func TestWhatIsNone(t *testing.T) {
	if outage.Is(nil) {
		t.Error("nil is an outage")
	}
	for name, make := range map[string]func(t *testing.T) error{
		"a plain error":                      coded(errors.New("connection refused")),
		"an answer that takes too long":      func(t *testing.T) error { return slow(t, 0) },
		"a client's own time-out":            func(t *testing.T) error { return slow(t, 20*time.Millisecond) },
		"a read deadline":                    readDeadline,
		"a dial that was cancelled":          cancelled,
		"a context that was cancelled":       coded(context.Canceled),
		"a context that took too long":       coded(context.DeadlineExceeded),
		"a host that does not exist":         func(t *testing.T) error { return lookup(t, nameServer(t)) },
		"an address that makes no sense":     func(t *testing.T) error { return get(t, "http://127.0.0.1:99999", nil) },
		"a port without a name":              func(t *testing.T) error { _, err := net.Dial("tcp", "127.0.0.1"); return err }, //nolint:noctx // fails before
		"an unknown scheme":                  func(t *testing.T) error { return get(t, "gopher://127.0.0.1", nil) },
		"a certificate that is refused":      certificate,
		"a connection closed on this side":   closedHere,
		"a pipe to a process that has ended": brokenPipe,
		"a truncated payload":                func(*testing.T) error { return json.Unmarshal([]byte(`{"a":`), &struct{}{}) },
		"an empty payload":                   func(*testing.T) error { return json.NewDecoder(strings.NewReader("")).Decode(&struct{}{}) },
		"the end of a stream, cut":           coded(io.ErrUnexpectedEOF),
		"HTTP 500":                           status(500),
		"HTTP 429":                           status(429),
		"HTTP 404":                           status(404),
		"PostgreSQL, a wrong statement":      coded(&pgconn.PgError{Code: "42601"}),
		"PostgreSQL, a statement cut off":    coded(&pgconn.PgError{Code: "57014"}),
		"PostgreSQL, a duplicate":            coded(&pgconn.PgError{Code: "23505"}),
		"PostgreSQL, a wrong password":       coded(&pgconn.PgError{Code: "28P01"}),
		"MySQL, a duplicate":                 coded(&mysql.MySQLError{Number: 1062}),
		"SQLite, a duplicate":                duplicate,
		"no row":                             coded(sql.ErrNoRows),
		"a file that is not there":           func(t *testing.T) error { _, err := os.Open(filepath.Join(t.TempDir(), "x")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			err := make(t)
			if err == nil {
				t.Fatal("there was no error")
			}
			if err = fmt.Errorf("charge the card: %w", err); outage.Is(err) {
				t.Errorf("taken for an outage: %v", err)
			}
		})
	}
}

func status(code int) func(*testing.T) error {
	return func(*testing.T) error { return statusError(code) }
}

func coded(err error) func(*testing.T) error { return func(*testing.T) error { return err } }

// closed returns an address at which nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func dial(t *testing.T, ctx context.Context, d *net.Dialer) error { //nolint:revive // the test comes first
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
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // local
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
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func read(t *testing.T, address string) error {
	t.Helper()
	c, err := net.Dial("tcp", address) //nolint:noctx // local
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
	c, err := net.Dial("tcp", serve(t, func(net.Conn) {})) //nolint:noctx // local
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
	c, err := net.Dial("tcp", serve(t, func(net.Conn) {})) //nolint:noctx // local
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
	c, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // local
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
