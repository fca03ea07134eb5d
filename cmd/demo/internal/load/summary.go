package load

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/ledger"
)

// Summary is what a load found. Its JSON fields are a contract.
type Summary struct {
	Clients          int            `json:"clients"`
	Seconds          float64        `json:"seconds"`            // for which orders were placed
	Orders           int            `json:"orders"`             // committed, with the one that warmed up
	PlacedPerSecond  float64        `json:"placed_per_second"`  // answered with 201
	AppliedPerSecond float64        `json:"applied_per_second"` // handled by stock, points and shipping, until the last of them
	Post             Latency        `json:"post_ms"`            // of POST /orders
	Backlog          Backlog        `json:"backlog"`            // orders placed and not yet applied by all three
	DrainSeconds     float64        `json:"drain_seconds"`      // from the last order to the last effect
	Applied          map[string]int `json:"applied"`            // orders applied, by service
	Lost             int            `json:"lost"`
	Duplicated       int            `json:"duplicated"`
	Deduplicated     int64          `json:"deduplicated"` // deliveries whose effect was there already
	Failed           int            `json:"failed"`       // requests that were not answered with 201

	report   ledger.Report
	problems []string
}

// Latency are percentiles in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Backlog is how many orders were on their way.
type Backlog struct {
	Max     int   `json:"max"`
	End     int   `json:"end"`     // when the last order was placed
	Seconds []int `json:"seconds"` // every second
}

func (l *load) summary(report ledger.Report, placed, applied time.Duration, effects, atEnd int, errs ...error) Summary {
	var latencies []time.Duration
	s := Summary{
		Clients: l.settings.Clients, Seconds: seconds(placed), Orders: report.Orders,
		DrainSeconds: seconds(applied - placed), Applied: report.Applied, Lost: report.Lost, Duplicated: report.Duplicated,
		Deduplicated: l.counts.duplicates.Load(),
		Backlog:      Backlog{Max: max(atEnd, slices.Max(append([]int{0}, l.backlog...))), End: atEnd, Seconds: l.backlog},
		report:       report,
	}
	for _, c := range l.clients {
		latencies = append(latencies, c.latencies...)
		s.Failed += c.failed
		if c.lastErr != nil {
			s.problems = append(s.problems, fmt.Sprintf("client %d: %d requests failed, the last because of: %v", c.number, c.failed, c.lastErr))
		}
	}
	s.PlacedPerSecond = round(float64(len(latencies)) / placed.Seconds())
	s.AppliedPerSecond = round(float64(effects) / applied.Seconds())
	s.Post = percentiles(latencies)
	for _, err := range errs {
		if err != nil {
			s.problems = append(s.problems, err.Error())
		}
	}
	return s
}

// percentiles sorts all.
func percentiles(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	at := func(share float64) float64 {
		return milliseconds(all[min(len(all)-1, int(share*float64(len(all))))])
	}
	return Latency{P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: milliseconds(all[len(all)-1])}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
func seconds(d time.Duration) float64      { return float64(d.Milliseconds()) / 1000 }
func round(f float64) float64              { return float64(int(f*10+0.5)) / 10 }

// Exact reports whether every effect is there once.
func (s Summary) Exact() bool { return s.report.Exact() && len(s.problems) == 0 }

// Problems are what is wrong, in words.
func (s Summary) Problems() []string {
	return append(append([]string(nil), s.problems...), s.report.Problems...)
}

// WriteJSON writes one line.
func (s Summary) WriteJSON(w io.Writer) error {
	line, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// WriteText writes the figures for people.
func (s Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d clients, %.0f s, %d orders\n\n", s.Clients, s.Seconds, s.Orders)
	fmt.Fprintf(&b, "  placed   %8.1f orders/s, POST p50 %.1f ms, p95 %.1f ms, p99 %.1f ms\n", s.PlacedPerSecond, s.Post.P50, s.Post.P95, s.Post.P99)
	fmt.Fprintf(&b, "  applied  %8.1f orders/s by stock, points and shipping each\n", s.AppliedPerSecond)
	fmt.Fprintf(&b, "  backlog  %8d orders at most, %d when the last was placed, gone %.1f s later\n", s.Backlog.Max, s.Backlog.End, s.DrainSeconds)
	fmt.Fprintf(&b, "\n  lost %d, duplicated %d, phantom %d", s.Lost, s.Duplicated, s.report.Phantom)
	if s.Exact() {
		b.WriteString(": every effect is there once.\n")
	} else {
		b.WriteString(": the ledger is WRONG.\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}
