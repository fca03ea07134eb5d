package work_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/sluicegate/sluicegate/bench/work"
)

func TestCasesTakeTurnsAndTheWarmUpDoesNotCount(t *testing.T) {
	var order []string
	trial := func(name string) func(context.Context) (float64, error) {
		return func(context.Context) (float64, error) {
			order = append(order, name)
			return float64(100 - len(order)), nil
		}
	}
	cases := []work.Case{{Subject: "a", Trial: trial("a")}, {Subject: "b", Trial: trial("b")}}
	results, err := work.Run(t.Context(), cases, 3, func(work.Case, int, float64) {})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "b", "a", "a", "b", "b", "a"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if got := results[0]; len(got.Values) != 3 || got.Min() != 92 || got.Median() != 95 || got.Max() != 96 {
		t.Errorf("values %v", got.Values)
	}
}

func TestATrialThatFailsIsNotAFigure(t *testing.T) {
	lost := errors.New("one is missing")
	cases := []work.Case{{Work: "drain", Subject: "a", Trial: func(context.Context) (float64, error) { return 1, lost }}}
	if _, err := work.Run(t.Context(), cases, 3, func(work.Case, int, float64) {}); !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}
