package alert

import (
	"context"
	"time"
)

// stateTimeout limits one call of a state: one that hangs must not keep back what
// can be told without it.
const stateTimeout = 5 * time.Second

// timed is a state whose calls end.
type timed struct{ state State }

func (t *timed) Get(ctx context.Context, kind Kind, id string) (Row, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	return t.state.Get(ctx, kind, id)
}

func (t *timed) Put(ctx context.Context, row Row) error {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	return t.state.Put(ctx, row)
}

func (t *timed) Delete(ctx context.Context, row Row) error {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	return t.state.Delete(ctx, row)
}

func (t *timed) List(ctx context.Context, kind Kind, after string, limit int) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	return t.state.List(ctx, kind, after, limit)
}

func (t *timed) Agenda(ctx context.Context, limit int) (Agenda, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	return t.state.Agenda(ctx, limit)
}
