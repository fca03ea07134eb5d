package report_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/bench/report"
	"github.com/sluicegate/sluicegate/bench/work"
)

var results = []work.Result{
	{Case: work.Case{Work: "drain", Subject: "plain", Unit: "messages/s", Plain: true}, Values: []float64{2900, 3000, 3100}},
	{Case: work.Case{Work: "drain", Subject: "ours", Unit: "messages/s"}, Values: []float64{90_000, 120_000, 125_000.456}},
	{Case: work.Case{Work: "alone", Subject: "ours", Unit: "ms"}, Values: []float64{1.5}},
}

func TestRatiosAreThoseOfTheMediansToPlain(t *testing.T) {
	rows := report.Rows(results)
	if got := *rows[1].RatioToPlain; got != 40 {
		t.Errorf("ratio %v, want 40", got)
	}
	if *rows[0].RatioToPlain != 1 || rows[2].RatioToPlain != nil {
		t.Errorf("plain is %v to itself, a work without plain %v", *rows[0].RatioToPlain, rows[2].RatioToPlain)
	}
}

func TestTheFileHasTheFieldsThatProgramsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "latest.json")
	if err := report.WriteJSON(path, report.Rows(results)); err != nil {
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
	for _, field := range []string{"work", "subject", "unit", "min", "median", "max", "ratio_to_plain"} {
		if _, ok := rows[0][field]; !ok || len(rows[0]) != 7 {
			t.Errorf("field %q of %v", field, rows[0])
		}
	}
}

func TestTheTableIsMarkdown(t *testing.T) {
	var b strings.Builder
	if err := report.Table(&b, report.Rows(results)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 120,000 ", "| 40.0 ×", "| 1.50 ", "| –"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
