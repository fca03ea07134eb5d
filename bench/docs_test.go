package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/bench/drain"
	"github.com/sluicegate/sluicegate/bench/latency"
	"github.com/sluicegate/sluicegate/bench/report"
)

func measuredRows() []report.Row {
	rows := []report.Row{
		{Work: drain.WorkKafka, Subject: drain.SubjectPlain, Plain: true},
		{Work: drain.WorkKafka, Subject: drain.SubjectNoHistory},
		{Work: latency.WorkSlow, Subject: drain.SubjectPlain, Metric: "p50"},
		{Work: latency.WorkSlow, Subject: drain.SubjectPlain, Metric: "relay's CPU"},
	}
	for i := range rows {
		rows[i].Fill([]float64{10 * float64(i+1)})
	}
	report.Judge(rows)
	return append(rows, report.Row{Work: drain.WorkKafka, Subject: "gone", Error: "no server"})
}

func TestAFullRunWritesTheTableAndThePlotsThatItHasFiguresFor(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "benchmarks.md")
	if err := os.WriteFile(page, []byte("# Head\n"+docsBegin+"\nold\n"+docsEnd+"\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := publish(dir, measuredRows(), []string{"machine: this one"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Head\n", "machine: this one", "](bench/drain.svg)", "](bench/ratio.svg)", "](bench/latency-50.svg)", "| 2.0 ×", "no server", "\ntail\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") || strings.Contains(string(got), "latency-2000") {
		t.Errorf("what was there, or a plot of nothing, in\n%s", got)
	}
	drawn, err := os.ReadFile(filepath.Join(dir, "bench", "latency-50.svg"))
	if err != nil || !strings.Contains(string(drawn), "p50") || strings.Contains(string(drawn), "CPU") {
		t.Errorf("%v, a plot of times has\n%s", err, drawn)
	}
}
