// Command httpidem runs a small shop whose API may be called twice. It starts the shop on
// SQLite in a temporary folder and hammers it with parallel duplicates, retries, lost
// answers, clients that go away, other payloads, other tenants, double clicks and crashes
// on both sides of the commit. Nothing needs to be installed:
//
//	go run ./examples/httpidem
//
// It exits 0 only where each order that a client wanted is there once, and each client got
// the answer to its own. The last line is JSON with what it counted.
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

func main() {
	orders := flag.Int("orders", 300, "how many orders are wanted by key, 30 to 10000; a third as many by form")
	seed := flag.Uint64("seed", 1, "of what goes wrong when")
	timeout := flag.Duration("timeout", time.Minute, "how long it may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	err := run(ctx, os.Stdout, *orders, *seed)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "httpidem:", err)
		os.Exit(1)
	}
}

// run is the whole example: everything is called twice, and is counted.
func run(ctx context.Context, out io.Writer, orders int, seed uint64) error {
	if orders < 30 || orders > 10_000 {
		return fmt.Errorf("--orders: %d, use 30 to 10000", orders)
	}
	s, err := open(ctx, seed)
	if err != nil {
		return err
	}
	err = hammer(ctx, out, s, orders, seed)
	return errors.Join(err, s.close())
}

func hammer(ctx context.Context, out io.Writer, s *shop, orders int, seed uint64) error {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	c := newClients(s, seed)
	defer c.close()
	say("%d orders by key: each is sent up to four times at once and repeated until it is answered, while the shop crashes", orders)
	if err := c.each(ctx, orders, c.byKey); err != nil {
		return err
	}
	say("%d orders by form: each is clicked twice, with one token", orders/3)
	if err := c.each(ctx, orders/3, c.byForm); err != nil {
		return err
	}
	say("%d people edit one order under a lock", workers)
	if err := c.each(ctx, workers*5, c.edit); err != nil {
		return err
	}
	return conclude(ctx, out, s, c, orders)
}

// tally is what was counted.
type tally struct {
	Orders     int  `json:"orders"`   // there in the end
	Requests   int  `json:"requests"` // that clients sent
	Replayed   int  `json:"replayed"` // answered from a record
	Conflicts  int  `json:"conflicts"`
	Mismatches int  `json:"mismatches"` // other payloads under a key, refused
	Crashes    int  `json:"crashes"`    // transactions that died before or after their commit
	LeftEarly  int  `json:"left_early"` // clients that did not wait for the answer
	Locked     int  `json:"locked"`     // edits that found the order locked
	Lost       int  `json:"lost"`
	Duplicated int  `json:"duplicated"`
	Leaked     int  `json:"leaked"`      // answers that were another's
	Overlapped int  `json:"overlapped"`  // edits at the same time
	StaleEdits int  `json:"stale_edits"` // edits whose number was not above the one before
	OK         bool `json:"ok"`
}

func conclude(ctx context.Context, out io.Writer, s *shop, c *clients, orders int) error {
	t := c.tally()
	t.Crashes, t.Overlapped, t.StaleEdits = s.observed()
	want := orders + orders/3
	if err := s.count(ctx, want, &t); err != nil {
		return err
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(t.Lost == 0 && t.Duplicated == 0, "%d orders are lost and %d are there twice", t.Lost, t.Duplicated)
	check(t.Orders == want, "%d orders are there, want %d", t.Orders, want)
	check(t.Leaked == 0, "%d clients got the answer of another", t.Leaked)
	check(t.Overlapped == 0 && t.StaleEdits == 0, "%d edits overlapped and %d came late", t.Overlapped, t.StaleEdits)
	check(t.Mismatches == orders, "%d other payloads were refused, want %d", t.Mismatches, orders)
	check(t.Replayed > 0 && t.Crashes > 0 && t.LeftEarly > 0, "too little went wrong: %d replays, %d crashes, %d left early", t.Replayed, t.Crashes, t.LeftEarly)
	t.OK = len(errs) == 0
	line, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	fmt.Fprintln(out, string(line))
	return errors.Join(errs...)
}
