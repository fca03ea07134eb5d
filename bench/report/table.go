package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	tableHead  = []string{"work", "subject", "unit", "min", "median", "max", "to plain", "CPU µs/msg", "RSS MB", "bar"}
	tableAlign = []string{"---", "---", "---", "---:", "---:", "---:", "---:", "---:", "---:", "---"}
)

// Table writes rows for people, as a Markdown table.
func Table(w io.Writer, rows []Row) error {
	cells := [][]string{tableHead, tableAlign}
	for i := range rows {
		cells = append(cells, rows[i].cells())
	}
	widths := make([]int, len(tableHead))
	for _, line := range cells {
		for i, c := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for _, line := range cells {
		var b strings.Builder
		for i, c := range line {
			b.WriteString("| " + c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+1))
		}
		if _, err := fmt.Fprintln(w, b.String()+"|"); err != nil {
			return err
		}
	}
	return nil
}

func (r *Row) cells() []string {
	subject := r.Subject
	if r.Metric != "" {
		subject += ", " + r.Metric
	}
	out := []string{r.Work, subject, r.Unit, "–", "–", "–", "–", measured(r.CPU, 1), measured(r.Memory, 0), r.verdict()}
	if r.Runs > 0 {
		out[3], out[4], out[5] = Number(r.Min), Number(r.Median), Number(r.Max)
	}
	if r.RatioToPlain != nil {
		out[6] = ratio(*r.RatioToPlain)
	}
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "|", "/")
	}
	return out
}

// verdict says which bars are met, or why there is no figure.
func (r *Row) verdict() string {
	var parts []string
	for _, v := range r.Verdicts {
		word := "met"
		if !v.Met {
			word = "**not met**"
		}
		parts = append(parts, fmt.Sprintf("%s: %s, %s", v.Bar, Number(v.Measured), word))
	}
	if r.Error != "" {
		if r.Runs > 0 {
			parts = append(parts, fmt.Sprintf("(%d runs only: %s)", r.Runs, r.Error))
		} else {
			parts = append(parts, r.Error)
		}
	}
	return strings.Join(parts, "; ")
}

func ratio(v float64) string {
	if v < 0.1 {
		return Number(v) + " ×"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " ×"
}

func measured(v float64, decimals int) string {
	if v <= 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}
