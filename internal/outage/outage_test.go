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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

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
		"a server whose socket is not there":  dialUnix,
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
		"a SQLite file that cannot be opened": unopened,
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
		"a port without a name":              func(t *testing.T) error { _, err := net.Dial("tcp", "127.0.0.1"); return err },
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
		"SQLite, a lost race":                locked,
		"PostgreSQL, a deadlock":             coded(&pgconn.PgError{Code: "40P01"}),
		"MySQL, a lock wait that timed out":  coded(&mysql.MySQLError{Number: 1205}),
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
