package report_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/bench/report"
)

func row(work, subject string, plain bool, bars []report.Bar, values ...float64) report.Row {
	r := report.Row{Work: work, Subject: subject, Unit: "messages/s", Plain: plain, Bars: bars}
	r.Fill(values)
	return r
}

func judged() []report.Row {
	rows := []report.Row{
		row("drain", "plain", true, nil, 3000, 2900, 3100),
		row("drain", "ours", false, []report.Bar{report.Times(40, "plain", "≥ 40 × plain"), report.Times(0.9, "raw", "≥ 0.9 of raw")}, 90_000, 125_000.456, 120_000),
		row("drain", "raw", false, nil, 160_000),
		row("alone", "ours", false, []report.Bar{report.AtMost(1, "≤ 1"), {Text: "of drain", Limit: 1e-6, Base: &report.Base{Work: "drain", Subject: "ours"}}}, 1.5),
		report.Failed("drain", "gone", errors.New("no\nserver")),
	}
	rows[3].Memory, rows[3].Bars = 250, append(rows[3].Bars, report.Bar{Text: "≤ 200 MB", Limit: 200, AtMost: true, Memory: true})
	report.Judge(rows)
	return rows
}

func TestRatiosAreThoseOfTheMediansToPlain(t *testing.T) {
	rows := judged()
	if got := *rows[1].RatioToPlain; got != 40 {
		t.Errorf("ratio %v, want 40", got)
	}
	if *rows[0].RatioToPlain != 1 || rows[3].RatioToPlain != nil || rows[4].RatioToPlain != nil {
		t.Errorf("plain is %v to itself, a work without plain %v, a row without figure %v", *rows[0].RatioToPlain, rows[3].RatioToPlain, rows[4].RatioToPlain)
	}
}

func TestABarIsMetOrNotByTheMedians(t *testing.T) {
	rows := judged()
	for i, want := range map[int][]bool{1: {true, false}, 3: {false, true, false}} {
		if len(rows[i].Verdicts) != len(want) {
			t.Fatalf("row %d: verdicts %v", i, rows[i].Verdicts)
		}
		for j, met := range want {
			if rows[i].Verdicts[j].Met != met {
				t.Errorf("row %d: %+v, want met=%v", i, rows[i].Verdicts[j], met)
			}
		}
	}
}

func TestABarWithoutItsBaseHasNoVerdict(t *testing.T) {
	rows := []report.Row{row("drain", "ours", false, []report.Bar{report.Times(40, "plain", "≥ 40 × plain")}, 1), report.Failed("drain", "plain", errors.New("away"))}
	report.Judge(rows)
	if len(rows[0].Verdicts) != 0 {
		t.Errorf("verdicts %v from nothing", rows[0].Verdicts)
	}
}

func TestTheMedianIsTheMiddleOneHoweverTheyCame(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 2: {3, 1, 2}, 1: {2, 1}, 0.00123: {0.00123}} {
		if got := report.Median(values); got != want {
			t.Errorf("median of %v is %v, want %v", values, got, want)
		}
	}
}

func TestTheFileHasTheFieldsThatProgramsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latest.json")
	if err := report.WriteJSON(path, judged()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []map[string]any
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"work", "subject", "unit", "min", "median", "max", "ratio_to_plain", "runs"} {
		for _, r := range rows {
			if _, ok := r[field]; !ok {
				t.Errorf("no field %q in %v", field, r)
			}
		}
	}
	if rows[4]["error"] != "no; server" {
		t.Errorf("the failed row says %v", rows[4]["error"])
	}
}

func TestTheTableIsMarkdown(t *testing.T) {
	var b strings.Builder
	if err := report.Table(&b, judged()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 120,000 ", "| 40.0 ×", "| 1.50 ", "| –", "≥ 40 × plain: 40.00, met", "≥ 0.9 of raw: 0.75, **not met**", "no; server"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
