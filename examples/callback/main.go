// Command callback shows asynchronous HTTP calls that are answered by a callback.
//
// It starts a service with two nodes on one SQLite database in a temporary folder,
// and in the same process a copy service that works as such services do: it calls
// back before our own row is there, at once, twice, much too late, or never; somebody else
// forges callbacks; and it is away for a while. Waits of seconds and minutes are
// compressed to fractions of a second by configuration.
//
// It exits with 0 only where every call has ended in its true result, and the message
// of that has arrived exactly once. Its last line is JSON with what it counted.
//
//	go run ./examples/callback
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"
)

func main() {
	calls := flag.Int("calls", 90, "how many calls, 9 to 9000")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, *calls)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "callback:", err)
		os.Exit(1)
	}
}

// errBroken says that an invariant does not hold; the last line has the figures.
var errBroken = errors.New("not every call has ended in its true result, once")

// run plays everything, and writes what happens to out.
func run(ctx context.Context, out io.Writer, calls int) (err error) {
	if calls < 9 || calls > 9000 {
		return fmt.Errorf("--calls: %d, use 9 to 9000", calls)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "sluicegate-callback-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "service.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // SQLite: one shared write connection

	secret := newSecret()
	partner, err := newPartner(secret)
	if err != nil {
		return err
	}
	defer partner.close()
	ours, err := newService(ctx, db, secret, partner)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()

	fmt.Fprintf(out, "submitting %d calls; the copy service calls back early, at once, twice, late, forged or never\n", calls)
	for i := range calls {
		w := way(i) % ways
		if err := ours.submit(ctx, plan{number: fmt.Sprintf("copy-%04d", i), way: w, fails: i/int(ways)%3 == 0, slow: i/int(ways)%2 == 0}); err != nil {
			return err
		}
	}
	if err := ours.await(ctx, out); err != nil {
		return err
	}
	partner.wait() // for the callbacks that come after the end
	l, err := ours.ledger(ctx)
	if err != nil {
		return err
	}
	l.Seconds = math.Round(time.Since(began).Seconds()*100) / 100
	if err := l.print(out); err != nil {
		return err
	}
	if !l.OK {
		return errBroken
	}
	return nil
}
