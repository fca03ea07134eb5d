package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// ErrEviction says that the server may throw records away to make room, after
// which their effects happen again.
var ErrEviction = errors.New("redis may evict idempotency records")

// Check asks the server whether it can be trusted with records. It returns an
// error that wraps ErrEviction where maxmemory-policy is not noeviction (a
// warning, for most), one marked as unavailable where the server cannot be
// reached, and nil where the server does not tell its policy.
func (s *Store) Check(ctx context.Context) error {
	info, err := s.client.Info(ctx, "memory").Result()
	if err != nil {
		return fmt.Errorf("ask redis for its memory policy: %w", mark(ctx, err))
	}
	for line := range strings.Lines(info) {
		policy, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:")
		if ok && policy != "noeviction" {
			return fmt.Errorf("%w: maxmemory-policy is %q, set it to noeviction", ErrEviction, policy)
		}
	}
	return nil
}

// away begins the replies of a server that is there but does not serve now:
// starting, failing over, read-only, out of memory, busy with a script.
var away = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "OOM", "MISCONF", "NOREPLICAS", "BUSY",
	"ERR max number of clients",
}

// mark marks err as unavailable, unless the server refused what we sent or the
// caller gave up.
func mark(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	var reply goredis.Error
	if !errors.As(err, &reply) {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return failure.Unavailable(err)
	}
	for _, prefix := range away {
		if strings.HasPrefix(reply.Error(), prefix) {
			return failure.Unavailable(err)
		}
	}
	return err
}
