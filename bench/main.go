// Command bench runs our relay and its peers side by side on real servers and
// prints one table. It is a program and not a set of timed tests, because what
// is compared must take turns within one run. docs/benchmarks.md says what is
// measured and how.
//
//	eval "$(../scripts/services env)" && go run .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/sluicegate/sluicegate/bench/drain"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/server"
	"github.com/sluicegate/sluicegate/bench/work"
)

func main() { os.Exit(program(os.Args[1:], os.Stdout, os.Stderr)) }

// program returns the exit code: 2 for what is wrong before anything runs, 1
// for a failure.
func program(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(args, os.Getenv, stderr)
	code := 2
	if err == nil {
		err, code = run(ctx, o, stdout, stderr), 1
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	return code
}

func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	pg, err := server.OpenPostgres(o.postgres)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Close()) }()
	kafka, err := server.OpenKafka(o.kafka)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Close()) }()

	cases := o.choose(drain.Cases(pg, kafka, drain.Config{Messages: o.messages, Payload: o.payload, Profile: o.profile}))
	if len(cases) == 0 {
		return fmt.Errorf("no subject contains %q", o.subject)
	}
	if err := facts(ctx, out, o, pg, kafka, cases); err != nil {
		return err
	}
	results, err := work.Run(ctx, cases, o.runs, func(c work.Case, round int, value float64) {
		label := fmt.Sprintf("run %d", round)
		if round == 0 {
			label = "warm-up"
		}
		fmt.Fprintf(progress, "%-8s %-28s %9.0f %s  (load %s)\n", label, c.Subject, value, c.Unit, server.Load())
	})
	if err != nil {
		return err
	}
	rows := report.Rows(results)
	fmt.Fprintln(out)
	if err := report.Table(out, rows); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	fmt.Fprintf(out, "\nload averages at the end: %s\n", server.Load())
	return report.WriteJSON(o.json, rows)
}

// facts prints what a figure cannot be judged without.
func facts(ctx context.Context, out io.Writer, o options, pg *server.Postgres, kafka *server.Kafka, cases []work.Case) error {
	pgSettings, err := pg.Settings(ctx)
	if err != nil {
		return fmt.Errorf("PostgreSQL: %w", err)
	}
	kafkaSettings, err := kafka.Settings()
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	line := func(name string, values []string) { fmt.Fprintf(out, "%-11s %s\n", name, strings.Join(values, ", ")) }
	line("machine:", server.Machine())
	line("load:", []string{server.Load() + " at the start (1, 5, 15 min)"})
	line("PostgreSQL:", pgSettings)
	line("Kafka:", kafkaSettings)
	line("workload:", []string{fmt.Sprintf("%d messages", o.messages), fmt.Sprintf("payload %d bytes", o.payload), "3 headers", "1000 keys", fmt.Sprintf("%d runs taking turns after a warm-up", o.runs)})
	for _, c := range cases {
		line("", []string{c.Subject + ": " + c.Note})
	}
	if slices.ContainsFunc(cases, func(c work.Case) bool { return c.Plain }) {
		fmt.Fprintln(out, "The durability is not the same: plain waits for the leader only (its default), ours for all in-sync replicas.")
	}
	return nil
}
