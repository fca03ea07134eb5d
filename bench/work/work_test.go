package work_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/bench/work"
)

func ignore(work.Case, int, work.Sample, error) {}

func TestCasesTakeTurnsAndTheWarmUpDoesNotCount(t *testing.T) {
	var order []string
	trial := func(name string) func(context.Context, bool) (work.Sample, error) {
		return func(_ context.Context, warmUp bool) (work.Sample, error) {
			if warmUp != (len(order) < 2) {
				t.Errorf("warm-up=%v after %d trials", warmUp, len(order))
			}
			order = append(order, name)
			return work.Value(float64(100 - len(order))), nil
		}
	}
	cases := []work.Case{{Subject: "a", Metrics: work.Rate(), Trial: trial("a")}, {Subject: "b", Metrics: work.Rate(), Trial: trial("b")}}
	rows := work.Rows(work.Run(t.Context(), cases, 3, ignore))
	if want := []string{"a", "b", "b", "a", "a", "b", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if got := rows[0]; got.Runs != 3 || got.Min != 92 || got.Median != 95 || got.Max != 96 {
		t.Errorf("row %+v", got)
	}
}

func TestATrialThatFailsIsNotAFigureAndTheOthersGoOn(t *testing.T) {
	lost := errors.New("one is missing")
	calls := 0
	cases := []work.Case{
		{Subject: "a", Metrics: work.Rate(), Trial: func(context.Context, bool) (work.Sample, error) { calls++; return work.Value(1), lost }},
		{Subject: "b", Metrics: work.Rate(), Trial: func(context.Context, bool) (work.Sample, error) { return work.Value(2), nil }},
	}
	rows := work.Rows(work.Run(t.Context(), cases, 3, ignore))
	if rows[0].Runs != 0 || !strings.Contains(rows[0].Error, lost.Error()) || calls != 2 {
		t.Errorf("after %d calls the row is %+v", calls, rows[0])
	}
	if rows[1].Runs != 3 || rows[1].Error != "" {
		t.Errorf("the other is %+v", rows[1])
	}
}

func TestEachMetricIsARowOfItsOwn(t *testing.T) {
	c := work.Case{Subject: "a", Metrics: []work.Metric{{Name: "p50", Unit: "ms"}, {Name: "p99", Unit: "ms"}}, NoWarmUp: true,
		Trial: func(context.Context, bool) (work.Sample, error) {
			return work.Sample{Values: map[string]float64{"p50": 1, "p99": 9}, CPU: 3}, nil
		}}
	rows := work.Rows(work.Run(t.Context(), []work.Case{c}, 1, ignore))
	if len(rows) != 2 || rows[0].Median != 1 || rows[1].Median != 9 || rows[1].Metric != "p99" || rows[0].CPU != 3 {
		t.Errorf("rows %+v", rows)
	}
}
