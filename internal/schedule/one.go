package schedule

import (
	"context"
	"fmt"
	"time"
)

// ClaimKey claims the unfinished task of a key now, whenever it is due. It is the
// caller's as one that Claim returns. ErrNotFound where there is none, ErrHeld where it
// waits behind others, ErrLeased where another has it.
func (s *Schedule) ClaimKey(ctx context.Context, queue, target, key string, lease time.Duration) (Task, error) {
	if lease < time.Millisecond || lease > maxDelay {
		return Task{}, invalid("lease: %v, use at least 1 ms", lease)
	}
	t, err := s.Find(ctx, queue, target, key)
	if err != nil {
		return Task{}, err
	}
	if err := s.RunNow(ctx, t.ID); err != nil {
		return Task{}, err
	}
	tasks, err := s.take(ctx, lease, []candidate{{id: t.ID, target: t.Target}})
	if err != nil {
		return Task{}, fmt.Errorf("claim task %d: %w", t.ID, err)
	}
	if len(tasks) == 0 {
		return Task{}, ErrLeased
	}
	return tasks[0], nil
}
