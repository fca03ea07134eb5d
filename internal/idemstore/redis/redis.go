// Package redis keeps idempotency records in Redis: a string for each, and one
// command or script for each operation, so that every operation is atomic, judges time by
// the server's clock and works in a cluster. Operations that are asked for at the
// same time share a pipeline.
package redis

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// DefaultPrefix begins the keys where nothing else is configured.
const DefaultPrefix = "sluicegate:idem"

// Config configures New.
type Config struct {
	// Prefix begins every key, so that services and environments can share a
	// server without mixing. It holds letters, digits and _ - . : { }, and no
	// part between colons is a number. Default: "sluicegate:idem".
	Prefix string
}

// Store keeps records in Redis.
type Store struct {
	client  goredis.UniversalClient
	scripts *combiner
	prefix  string
}

var (
	prefixForm  = regexp.MustCompile(`^[A-Za-z0-9_.:{}-]{1,128}$`)
	numericPart = regexp.MustCompile(`^[0-9]*$`)
)

// New returns a store on client.
func New(client goredis.UniversalClient, cfg Config) (*Store, error) {
	if client == nil {
		return nil, errors.New("client: is nil")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	if !prefixForm.MatchString(cfg.Prefix) {
		return nil, fmt.Errorf("Config.Prefix: %q: use 1 to 128 of letters, digits and _ - . : { }", cfg.Prefix)
	}
	for part := range strings.SplitSeq(cfg.Prefix, ":") {
		// The first number in a key is the length of the handler's name.
		if numericPart.MatchString(part) {
			return nil, fmt.Errorf("Config.Prefix: %q: no part between colons may be empty or a number", cfg.Prefix)
		}
	}
	return &Store{client: client, scripts: &combiner{client: client}, prefix: cfg.Prefix}, nil
}

// key writes k so that no two keys, under no two prefixes, are alike: the length
// of the handler's name keeps ("a:b", "c") and ("a", "b:c") apart.
func (s *Store) key(k idemstore.Key) (string, error) {
	k, err := k.Normalize()
	if err != nil {
		return "", err
	}
	return s.prefix + ":" + strconv.Itoa(len(k.Handler)) + ":" + k.Handler + ":" + k.ID, nil
}

// Claim asks for the record.
func (s *Store) Claim(ctx context.Context, c idemstore.Claim) (idemstore.Record, error) {
	c, err := c.Normalize()
	if err != nil {
		return idemstore.Record{}, err
	}
	// A plain command wins what is not there; whatever else there is, the script
	// tells, also that a first try of this one did arrive.
	key, err := s.key(c.Key)
	if err != nil {
		return idemstore.Record{}, err
	}
	err = s.scripts.set(ctx, key, fresh(c), millis(c.Lease)+millis(c.Retention))
	if err == nil {
		return idemstore.Record{Verdict: idemstore.Won, State: idemstore.Processing, Attempt: max(c.Attempt, 1)}, nil
	}
	if !errors.Is(err, goredis.Nil) {
		return idemstore.Record{}, fmt.Errorf("claim in redis: %w", mark(ctx, err))
	}
	reply, err := s.run(ctx, claimScript, c.Key, c.Token, c.Fingerprint, millis(c.Lease), millis(c.Retention), c.Attempt, flag(c.Resume))
	if err != nil {
		return idemstore.Record{}, fmt.Errorf("claim in redis: %w", err)
	}
	rec, err := parseRecord(reply)
	if err != nil {
		return idemstore.Record{}, fmt.Errorf("claim in redis: %w", err)
	}
	return rec, nil
}

// Extend lengthens the owner's lease.
func (s *Store) Extend(ctx context.Context, k idemstore.Key, token string, lease time.Duration) error {
	if err := idemstore.CheckTerm("lease", lease); err != nil {
		return err
	}
	return s.owned(ctx, "extend", extendScript, k, token, millis(lease))
}

// Complete marks the owner's record done.
func (s *Store) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	if err := idemstore.CheckTerm("retention", retention); err != nil {
		return err
	}
	stored := []byte{'0'}
	if result != nil {
		stored = append([]byte{'1'}, result...)
	}
	return s.owned(ctx, "complete", completeScript, k, token, millis(retention), stored)
}

// Release gives the owner's record up.
func (s *Store) Release(ctx context.Context, k idemstore.Key, token string) error {
	return s.owned(ctx, "release", releaseScript, k, token)
}

// owned runs a script that answers 1, or 0 where the record is not token's.
func (s *Store) owned(ctx context.Context, verb string, script *goredis.Script, k idemstore.Key, args ...any) error {
	reply, err := s.run(ctx, script, k, args...)
	if err != nil {
		return fmt.Errorf("%s in redis: %w", verb, err)
	}
	if n, ok := reply.(int64); !ok || n != 1 {
		return idemstore.ErrLeaseLost
	}
	return nil
}

// Transition moves a record that nobody holds.
func (s *Store) Transition(ctx context.Context, k idemstore.Key, t idemstore.Transition) error {
	if err := t.Validate(); err != nil {
		return err
	}
	args := []any{string(t.To), t.Epoch, flag(t.NextEpoch), millis(t.Retention)}
	for _, from := range t.From {
		args = append(args, string(from))
	}
	reply, err := s.run(ctx, transitionScript, k, args...)
	if err != nil {
		return fmt.Errorf("move record in redis: %w", err)
	}
	if found, ok := reply.(string); !ok || found != "" {
		return fmt.Errorf("%w: it is %v", idemstore.ErrConflict, reply)
	}
	return nil
}

func (s *Store) run(ctx context.Context, script *goredis.Script, k idemstore.Key, args ...any) (any, error) {
	key, err := s.key(k)
	if err != nil {
		return nil, err
	}
	reply, err := s.scripts.run(ctx, script, key, args...)
	if err != nil {
		return nil, mark(ctx, err)
	}
	return reply, nil
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// millis rounds up: a lease must not become none.
func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

func parseRecord(reply any) (idemstore.Record, error) {
	list, ok := reply.([]any)
	if !ok || len(list) != 7 {
		return idemstore.Record{}, fmt.Errorf("unexpected reply of type %T", reply)
	}
	var n [5]int64
	for i, at := range []int{0, 2, 3, 4, 5} {
		if n[i], ok = list[at].(int64); !ok {
			return idemstore.Record{}, fmt.Errorf("unexpected reply: element %d is a %T", at, list[at])
		}
	}
	state, _ := list[1].(string)
	result, _ := list[6].(string)
	rec := idemstore.Record{
		Verdict: idemstore.Verdict(n[0]), //nolint:gosec // 1 to 6, by our own script
		State:   idemstore.State(state),
		Attempt: n[1],
		Epoch:   n[2],
		RetryIn: time.Duration(n[3]) * time.Millisecond,
	}
	if n[4] == 1 {
		rec.Result = []byte(result)
	}
	return rec, nil
}
