// Package report turns results into a table for people and rows for programs.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"text/tabwriter"

	"github.com/sluicegate/sluicegate/bench/work"
)

// Row is one line of the report. Programs read it from latest.json.
type Row struct {
	Work    string  `json:"work"`
	Subject string  `json:"subject"`
	Unit    string  `json:"unit"`
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	Max     float64 `json:"max"`
	// RatioToPlain is the median divided by that of the plain subject of the
	// same work; null where the work has none.
	RatioToPlain *float64 `json:"ratio_to_plain"`
}

// Rows makes the rows of results, in their order.
func Rows(results []work.Result) []Row {
	plain := map[string]float64{}
	for _, r := range results {
		if r.Plain {
			plain[r.Work] = r.Median()
		}
	}
	rows := make([]Row, 0, len(results))
	for _, r := range results {
		row := Row{Work: r.Work, Subject: r.Subject, Unit: r.Unit, Min: round(r.Min()), Median: round(r.Median()), Max: round(r.Max())}
		if base := plain[r.Work]; base > 0 {
			ratio := round(r.Median() / base)
			row.RatioToPlain = &ratio
		}
		rows = append(rows, row)
	}
	return rows
}

// round keeps two decimals: more would be noise.
func round(v float64) float64 { return math.Round(v*100) / 100 }

// Table writes rows for people, as a Markdown table.
func Table(w io.Writer, rows []Row) error {
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	line := func(cells ...string) {
		for _, c := range cells {
			fmt.Fprintf(tw, "| %s\t", c)
		}
		fmt.Fprintln(tw, "|")
	}
	line("work", "subject", "unit", "min", "median", "max", "to plain")
	line("---", "---", "---", "---:", "---:", "---:", "---:")
	for _, r := range rows {
		ratio := "–"
		if r.RatioToPlain != nil {
			ratio = strconv.FormatFloat(*r.RatioToPlain, 'f', 1, 64) + " ×"
		}
		line(r.Work, r.Subject, r.Unit, number(r.Min), number(r.Median), number(r.Max), ratio)
	}
	return tw.Flush()
}

// number writes v with thousands apart, and decimals only where they matter.
func number(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// WriteJSON writes rows to the file at path, replacing it.
func WriteJSON(path string, rows []Row) error {
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}
