// Package report turns results into a table for people and rows for programs.
package report

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Row is one line of the report. Programs read it from latest.json.
type Row struct {
	Work    string  `json:"work"`
	Subject string  `json:"subject"`
	Metric  string  `json:"metric,omitempty"` // where a subject has more than one
	Unit    string  `json:"unit"`
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	Max     float64 `json:"max"`
	// RatioToPlain is the median divided by that of the plain subject of the
	// same work; null where the work has none.
	RatioToPlain *float64 `json:"ratio_to_plain"`
	// Runs is of how many trials the median is.
	Runs int `json:"runs"`
	// CPU is the processor time, in microseconds a message, of the process that
	// did the work, and Memory its highest resident memory in MB; medians. 0: not
	// measured.
	CPU    float64 `json:"cpu_us_per_message,omitempty"`
	Memory float64 `json:"memory_mb,omitempty"`
	// Verdicts say which bars are met.
	Verdicts []Verdict `json:"bars,omitempty"`
	Note     string    `json:"note,omitempty"`
	// Error says why there is no figure, or one of fewer runs.
	Error string `json:"error,omitempty"`

	Plain bool  `json:"-"` // the one that the others of its work are compared with
	Bars  []Bar `json:"-"` // for Judge
}

// Bar is what a row has to show.
type Bar struct {
	Text   string  // as "≥ 40 × plain"
	Limit  float64 // of the value, or of the ratio to Base
	AtMost bool    // at most Limit instead of at least
	Memory bool    // about the memory instead of the value
	Base   *Base   // what it is divided by; nil: nothing
}

// Base names another row. Empty fields are those of the row with the bar.
type Base struct{ Work, Subject, Metric string }

// Verdict is a bar and what was measured.
type Verdict struct {
	Bar      string  `json:"bar"`
	Measured float64 `json:"measured"`
	Met      bool    `json:"met"`
}

// AtLeast is a bar of the value itself.
func AtLeast(limit float64, text string) Bar { return Bar{Text: text, Limit: limit} }

// AtMost is a bar of the value itself.
func AtMost(limit float64, text string) Bar { return Bar{Text: text, Limit: limit, AtMost: true} }

// Times is a bar of the ratio to the row of another subject.
func Times(limit float64, subject, text string) Bar {
	return Bar{Text: text, Limit: limit, Base: &Base{Subject: subject}}
}

// Failed returns the row of something that has no figure.
func Failed(work, subject string, err error) Row {
	return Row{Work: work, Subject: subject, Error: Short(err)}
}

// Fill sets the figures from the values of the trials.
func (r *Row) Fill(values []float64) {
	r.Runs = len(values)
	if len(values) == 0 {
		return
	}
	r.Min, r.Median, r.Max = round(slices.Min(values)), Median(values), round(slices.Max(values))
}

// Median returns the middle value, rounded; of an even number, the lower one.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return round(sorted[(len(sorted)-1)/2])
}

// round keeps two decimals, and four digits of what is small: more would be
// noise.
func round(v float64) float64 {
	scale := 100.0
	for math.Abs(v) > 0 && math.Abs(v) < 10 && scale < 1e6 && math.Abs(v)*scale < 1000 {
		scale *= 10
	}
	return math.Round(v*scale) / scale
}

// Judge compares the rows with each other: the ratio to the plain subject, and
// the bars. A row that a bar needs and that has no figure leaves the bar
// without a verdict.
func Judge(rows []Row) {
	find := func(work, subject, metric string) *Row {
		for i, r := range rows {
			if r.Work == work && r.Metric == metric && r.Runs > 0 && (r.Subject == subject || (subject == "" && r.Plain)) {
				return &rows[i]
			}
		}
		return nil
	}
	for i := range rows {
		r := &rows[i]
		if r.Runs == 0 {
			continue
		}
		if plain := find(r.Work, "", r.Metric); plain != nil && plain.Median > 0 {
			ratio := round(r.Median / plain.Median)
			r.RatioToPlain = &ratio
		}
		for _, b := range r.Bars {
			measured := r.Median
			if b.Memory {
				measured = r.Memory
			}
			if b.Base != nil {
				base := find(or(b.Base.Work, r.Work), b.Base.Subject, or(b.Base.Metric, r.Metric))
				if base == nil || base.Median <= 0 {
					continue
				}
				measured /= base.Median
			}
			met := measured >= b.Limit
			if b.AtMost {
				met = measured <= b.Limit
			}
			r.Verdicts = append(r.Verdicts, Verdict{Bar: b.Text, Measured: round(measured), Met: met})
		}
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Short returns an error on one line and not too long.
func Short(err error) string {
	text := strings.Join(strings.Fields(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")), " ")
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return text
}

// Number writes v with thousands apart, and decimals only where they matter.
func Number(v float64) string {
	switch a := math.Abs(v); {
	case a > 0 && a < 1:
		return strconv.FormatFloat(v, 'g', 3, 64)
	case a < 100:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
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
