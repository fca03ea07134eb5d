// Command kit runs the handler kit of package label against a carrier that fails in every
// way it can, on SQLite in a temporary folder: nothing needs to be installed.
//
//	go run ./examples/kit
//
// It exits 0 only where each order that was paid has one label, each label the carrier's own,
// and the alerts are those that were due. The last line is JSON with what it counted.
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
	orders := flag.Int("orders", 70, "how many orders are paid, 7 to 10000")
	timeout := flag.Duration("timeout", time.Minute, "how long it may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	err := run(ctx, os.Stdout, *orders)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kit:", err)
		os.Exit(1)
	}
}

// run is the whole example: everything breaks, heals, and is counted.
func run(ctx context.Context, out io.Writer, orders int) error {
	if orders < kinds || orders > 10_000 {
		return fmt.Errorf("--orders: %d, use %d to 10000", orders, kinds)
	}
	s, err := open(ctx)
	if err != nil {
		return err
	}
	err = s.live(ctx, out, orders)
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	return nil
}

func (s *shop) live(ctx context.Context, out io.Writer, orders int) error {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	say("the carrier is away; %d orders are paid, and each message comes twice", orders)
	stop := s.start(ctx)
	if err := s.pay(ctx, orders); err != nil {
		return errors.Join(err, stop())
	}
	if err := s.until(ctx, "all labels are wanted", "SELECT COUNT(*) = ? FROM label", orders); err != nil {
		return errors.Join(err, stop())
	}
	say("the carrier is back, with errors, hangs, lost answers and limits")
	s.carrier.back()
	err := s.until(ctx, "half of the labels are made", "SELECT COUNT(*) >= ? FROM label WHERE status = 'made'", orders/2)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	say("the process is stopped in the middle, some orders are withdrawn, and another one begins")
	withdrawn, err := s.withdraw(ctx, orders)
	if err != nil {
		return err
	}
	stop = s.start(ctx)
	err = s.until(ctx, "everything has an end", "SELECT COUNT(*) = 0 FROM label WHERE status = 'wanted' AND ? > 0", orders)
	if err != nil {
		return errors.Join(err, stop())
	}
	failed, err := s.again(ctx)
	say("%d labels failed for good, %d people were told; the addresses are put right", failed, s.alerts.count())
	err = errors.Join(err, s.until(ctx, "what failed is made", "SELECT COUNT(*) = 0 FROM label WHERE status IN ('wanted', 'failed') AND ? > 0", orders))
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	return s.conclude(ctx, out, tally{Orders: orders, Withdrawn: withdrawn, Failed: failed})
}

// tally is what was counted.
type tally struct {
	Orders     int  `json:"orders"`
	Made       int  `json:"made"`
	Withdrawn  int  `json:"withdrawn"`
	Failed     int  `json:"failed_first"`
	Alerts     int  `json:"alerts"`
	Calls      int  `json:"calls"`
	Lost       int  `json:"lost"`
	Duplicated int  `json:"duplicated"`
	OK         bool `json:"ok"`
}

func (s *shop) conclude(ctx context.Context, out io.Writer, t tally) error {
	if err := s.count(ctx, &t); err != nil {
		return err
	}
	want := t.Orders / kinds // of each kind, at least
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(t.Lost == 0 && t.Duplicated == 0, "%d labels are lost and %d are there twice", t.Lost, t.Duplicated)
	check(t.Made+t.Withdrawn == t.Orders, "%d made and %d withdrawn are not all %d orders", t.Made, t.Withdrawn, t.Orders)
	check(t.Withdrawn >= want, "only %d orders were withdrawn", t.Withdrawn)
	check(t.Failed >= want && t.Alerts == t.Failed, "%d labels failed for good, and %d people were told", t.Failed, t.Alerts)
	check(t.Calls > t.Made, "the carrier did not fail: %d calls", t.Calls)
	t.OK = len(errs) == 0
	line, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	fmt.Fprintln(out, string(line))
	return errors.Join(errs...)
}
