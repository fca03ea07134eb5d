package chain

import (
	"context"
	"slices"
)

const rounds = 3

// alternate gives each trial its turn, after a turn that warms up and does not
// count, and returns the median of each.
func alternate(ctx context.Context, trials ...func(context.Context) (float64, error)) ([]float64, error) {
	values := make([][]float64, len(trials))
	for round := range rounds + 1 {
		for turn := range trials {
			i := (turn + round) % len(trials)
			v, err := trials[i](ctx)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				values[i] = append(values[i], v)
			}
		}
	}
	medians := make([]float64, len(trials))
	for i, v := range values {
		slices.Sort(v)
		medians[i] = v[len(v)/2]
	}
	return medians, nil
}
