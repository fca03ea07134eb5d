package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicegate/sluicegate/bench/consuming"
	"github.com/sluicegate/sluicegate/bench/drain"
	"github.com/sluicegate/sluicegate/bench/latency"
	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/svg"
)

// plot is one chart of the docs.
type plot struct {
	file  string
	chart svg.Chart
}

// plots draws what there are figures for.
func plots(rows []report.Row) []plot {
	candidates := []plot{
		{"drain.svg", svg.Chart{Title: "How fast a relay empties a full outbox, PostgreSQL → Kafka", Unit: "messages/s, 256 bytes, one partition; median, and the range of the runs", Bars: bars(rows, drain.WorkKafka, nil)}},
		{"ratio.svg", svg.Chart{Title: "How many times faster than the plain forwarder", Unit: "ratio of the medians, delivered rows deleted", Bars: ratios(rows)}},
		{"latency-50.svg", svg.Chart{Title: "Commit → delivered at 50 messages a second", Unit: "ms", Log: true, Bars: bars(rows, latency.WorkSlow, latency.Percentiles)}},
		{"latency-2000.svg", svg.Chart{Title: "Commit → delivered at 2,000 messages a second", Unit: "ms", Log: true, Bars: bars(rows, latency.WorkFast, latency.Percentiles)}},
		{"consume.svg", svg.Chart{Title: "Handled a second from Kafka, 8 partitions, 10,000 keys", Unit: "messages/s", Log: true, Bars: consumed(rows)}},
	}
	var out []plot
	for _, p := range candidates {
		if len(p.chart.Bars) > 0 {
			p.chart.Desc = describe(p.chart)
			out = append(out, p)
		}
	}
	return out
}

// bars makes a bar of each row of a work, of these metrics only if any are
// given.
func bars(rows []report.Row, work string, metrics []string) []svg.Bar {
	var out []svg.Bar
	for _, r := range rows {
		if r.Work != work || r.Runs == 0 || (metrics != nil && !slices.Contains(metrics, r.Metric)) {
			continue
		}
		label := r.Subject
		if r.Metric != "" {
			label += ", " + r.Metric
		}
		out = append(out, svg.Bar{Label: label, Value: r.Median, Min: r.Min, Max: r.Max, Text: report.Number(r.Median), Ours: ours(r)})
	}
	return out
}

// ratios compares, over all drains, ours that deletes what was delivered.
func ratios(rows []report.Row) []svg.Bar {
	var out []svg.Bar
	for _, r := range rows {
		if r.RatioToPlain == nil || (r.Subject != drain.SubjectNoHistory && r.Subject != drain.SubjectTakeover) {
			continue
		}
		label := strings.TrimPrefix(strings.TrimPrefix(r.Work, "drain, "), "drain ")
		out = append(out, svg.Bar{Label: label, Value: *r.RatioToPlain, Text: fmt.Sprintf("%.1f ×", *r.RatioToPlain), Ours: true})
	}
	return out
}

// consumed makes a bar of each consumer and handler.
func consumed(rows []report.Row) []svg.Bar {
	var out []svg.Bar
	for _, r := range rows {
		handler, is := strings.CutPrefix(r.Work, consuming.WorkPrefix)
		if is && r.Runs > 0 {
			subject, _, _ := strings.Cut(r.Subject, " subscriber")
			out = append(out, svg.Bar{Label: handler + ": " + subject, Value: r.Median, Min: r.Min, Max: r.Max, Text: report.Number(r.Median), Ours: ours(r)})
		}
	}
	return out
}

func ours(r report.Row) bool { return strings.HasPrefix(r.Subject, "sluicegate") }

// describe says in words what a chart shows.
func describe(c svg.Chart) string {
	parts := make([]string, len(c.Bars))
	for i, b := range c.Bars {
		parts[i] = b.Label + ": " + b.Text
	}
	return fmt.Sprintf("Bar chart, %s. %s.", c.Unit, strings.Join(parts, "; "))
}

// draw writes the plots into dir and returns the Markdown that shows them.
func draw(dir string, rows []report.Row) (string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("make folder for plots: %w", err)
	}
	var b strings.Builder
	for _, p := range plots(rows) {
		if err := os.WriteFile(filepath.Join(dir, p.file), []byte(p.chart.Draw()), 0o644); err != nil { //nolint:gosec // a file of the docs, for everyone
			return "", fmt.Errorf("write plot: %w", err)
		}
		fmt.Fprintf(&b, "![%s](%s/%s)\n\n", p.chart.Title, filepath.Base(dir), p.file)
	}
	return b.String(), nil
}
