// Command objectsync keeps product pages, JSON files in a folder, equal to the rows of a shop's
// database, while it breaks things: uploads fail, a worker is killed in the middle, one
// product is changed by everybody at once, messages come twice and in another order,
// files are deleted, changed and added behind its back. Nothing needs to be installed:
//
//	go run ./examples/objectsync
//
// It exits 0 only where in the end the folder holds exactly the rows, byte for byte. The
// last line is JSON with what it counted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// workerVar makes this program the shop's worker, in the folder that it names.
const workerVar = "OBJECTSYNC_EXAMPLE_WORKER"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if dir := os.Getenv(workerVar); dir != "" {
		err = work(ctx, dir)
	} else {
		products := flag.Int("products", 200, "how many products, 50 to 5000")
		seed := flag.Uint64("seed", 1, "of what goes wrong when")
		timeout := flag.Duration("timeout", time.Minute, "how long it may take")
		flag.Parse()
		bounded, cancel := context.WithTimeout(ctx, *timeout)
		err = run(bounded, os.Stdout, *products, *seed)
		cancel()
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "objectsync:", err)
		os.Exit(1)
	}
}

// tally is what was counted.
type tally struct {
	Products      int   `json:"products"`       // rows in the end
	Changes       int   `json:"changes"`        // transactions that changed a row
	Messages      int   `json:"messages"`       // that told of changes, twice each and in another order
	Uploads       int64 `json:"uploads"`        // writes to the folder, by this process
	FailedUploads int64 `json:"failed_uploads"` // of which so many were made to fail
	Killed        int   `json:"killed"`         // workers killed in the middle
	LeftByKilled  int   `json:"left_by_killed"` // products whose upload the killed worker left to others
	Refused       int   `json:"refused"`        // that could not become an object
	ByHand        int   `json:"by_hand"`        // repairs on record, with who did it
	Drift         int   `json:"drift"`          // found by Reconcile
	Repaired      int   `json:"repaired"`       // by Reconcile
	Different     int   `json:"different"`      // files that are not equal to their rows, in the end
	OK            bool  `json:"ok"`
}

// run is the whole example.
func run(ctx context.Context, out io.Writer, products int, seed uint64) error {
	if products < 50 || products > 5000 {
		return fmt.Errorf("--products: %d, use 50 to 5000", products)
	}
	dir, err := os.MkdirTemp("", "objectsync")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of temporary files
	s, err := open(ctx, dir, seed)
	if err != nil {
		return err
	}
	defer func() { _ = s.close() }() // all was read by then
	var t tally
	for _, act := range []func(ctx context.Context, say func(string, ...any), products int, t *tally) error{
		s.publish, s.change, s.refuse, s.drift,
	} {
		if err := act(ctx, func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }, products, &t); err != nil {
			return err
		}
	}
	return s.conclude(ctx, out, &t, products)
}

func (s *shop) conclude(ctx context.Context, out io.Writer, t *tally, products int) error {
	var err error
	if t.Products, t.Different, err = s.compare(ctx); err != nil {
		return err
	}
	t.Uploads, t.FailedUploads = s.files.puts.Load(), s.files.failed.Load()
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(t.Different == 0, "%d files are not equal to their rows", t.Different)
	check(t.Products > products/2, "%d products are left", t.Products)
	check(t.Killed == 1 && t.LeftByKilled > 0, "the worker was not killed in the middle: it left %d products", t.LeftByKilled)
	check(t.FailedUploads > 0, "no upload failed")
	check(t.Refused == 1 && t.ByHand == 1, "%d products were refused and %d repaired by hand, want 1 and 1", t.Refused, t.ByHand)
	check(t.Drift == planted && t.Repaired == planted, "%d files that differ were found and %d repaired, want %d", t.Drift, t.Repaired, planted)
	t.OK = len(errs) == 0
	line, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	fmt.Fprintln(out, string(line))
	return errors.Join(errs...)
}
