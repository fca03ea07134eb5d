package chain

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/redisstore"
)

const (
	redisMessages = 100_000
	redisInFlight = 64
)

// Redis claims and completes with 64 messages in flight: through our store, and
// as go-redis does it by hand with SET NX and SET, one command at a time.
func Redis(ctx context.Context, redisURL string) (ours, plain float64, err error) {
	opts, err := goredis.ParseURL(redisURL)
	if err != nil {
		return 0, 0, errors.New("REDIS_URL cannot be parsed")
	}
	client := goredis.NewClient(opts)
	defer func() { err = errors.Join(err, client.Close()) }()
	prefix := fmt.Sprintf("bc%08x", rand.Uint32())
	store, err := redisstore.New(client, redisstore.Config{Prefix: prefix})
	if err != nil {
		return 0, 0, err
	}
	m, err := alternate(ctx,
		func(ctx context.Context) (float64, error) {
			return claims(ctx, func(ctx context.Context, id string) error { return claimOurs(ctx, store, id) })
		},
		func(ctx context.Context) (float64, error) {
			return claims(ctx, func(ctx context.Context, id string) error { return claimPlain(ctx, client, prefix, id) })
		})
	if err != nil {
		return 0, 0, err
	}
	return m[0], m[1], nil
}

// keep is how long a record is kept: long enough for a trial.
const keep = time.Minute

func claimOurs(ctx context.Context, store *redisstore.Store, id string) error {
	key := idempotency.Key{Handler: "shop/stock", ID: id}
	rec, err := store.Claim(ctx, idempotency.Claim{Key: key, Token: id, Lease: 30 * time.Second, Retention: keep})
	if err == nil && rec.Verdict != idempotency.Won {
		err = fmt.Errorf("verdict %v, want won", rec.Verdict)
	}
	if err != nil {
		return err
	}
	return store.Complete(ctx, key, id, nil, keep)
}

func claimPlain(ctx context.Context, client *goredis.Client, prefix, id string) error {
	key := prefix + ":plain:" + id
	won, err := client.SetNX(ctx, key, "processing", keep).Result()
	if err == nil && !won {
		err = errors.New("was claimed before")
	}
	if err != nil {
		return err
	}
	return client.Set(ctx, key, "done", keep).Err()
}

// claims has as many workers as messages in flight, and returns how many a
// second they claimed and completed.
func claims(ctx context.Context, claim func(context.Context, string) error) (float64, error) {
	run := "r" + strconv.FormatInt(runs.Add(1), 36) + "-"
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		mu     sync.Mutex
		failed []error
	)
	start := time.Now()
	for range redisInFlight {
		wg.Go(func() {
			for n := next.Add(1); n <= redisMessages; n = next.Add(1) {
				if err := claim(ctx, run+strconv.FormatInt(n, 10)); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	wg.Wait()
	return redisMessages / time.Since(start).Seconds(), errors.Join(failed...)
}
