package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/bench/child"
	"github.com/sluicegate/sluicegate/bench/env"
	"github.com/sluicegate/sluicegate/bench/report"
)

// overtime is what the section that the limit meets may still take.
const overtime = 3 * time.Minute

func run(ctx context.Context, o options, out, progress io.Writer) error {
	chosen := o.choose(sections)
	if o.profile != "" {
		path, err := filepath.Abs(o.profile)
		if err != nil {
			return fmt.Errorf("name profile: %w", err)
		}
		if err := os.Setenv(child.ProfileVariable, path); err != nil {
			return fmt.Errorf("name profile: %w", err)
		}
	}
	e := env.Env{
		URLs: o.urls, Runs: o.runs, Scale: o.amount(), Payload: o.payload,
		Quick: o.mode == "quick", Subject: o.subject, Progress: progress,
	}
	begun := time.Now()
	about := facts(ctx, e, o)
	fmt.Fprintln(out, strings.Join(about, "\n"))
	ctx, cancel := context.WithDeadline(ctx, begun.Add(o.limit+overtime))
	defer cancel()
	rows := measure(ctx, e, chosen, begun.Add(o.limit))
	report.Judge(rows)
	about = append(about, ended(begun))
	fmt.Fprintln(out)
	if err := report.Table(out, rows); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	fmt.Fprintf(out, "\n%s\n", about[len(about)-1])
	if err := report.WriteJSON(o.json, rows); err != nil {
		return err
	}
	if o.publishes() {
		return publish(o.docs, rows, about)
	}
	return nil
}

// measure runs the sections one after the other. One that fails leaves a row
// that says so, and the others go on.
func measure(ctx context.Context, e env.Env, chosen []env.Section, limit time.Time) []report.Row {
	var rows []report.Row
	for i, s := range chosen {
		switch {
		case ctx.Err() != nil:
			rows = append(rows, report.Failed(s.Name, "–", ctx.Err()))
			continue
		case time.Now().After(limit):
			rows = append(rows, report.Failed(s.Name, "–", fmt.Errorf("left out: the time was up (--limit)")))
			continue
		}
		e.Say("section %d of %d: %s", i+1, len(chosen), s.Name)
		start := time.Now()
		got, err := s.Run(ctx, e)
		rows = append(rows, got...)
		outcome := "done"
		if err != nil {
			rows = append(rows, report.Failed(s.Name, "–", err))
			outcome = report.Short(err)
		}
		e.Say("section %s took %v: %s", s.Name, time.Since(start).Round(time.Second), outcome)
	}
	return rows
}
