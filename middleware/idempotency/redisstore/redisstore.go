// Package redisstore keeps idempotency records in Redis, 5 or newer.
package redisstore

import (
	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/idemstore/redis"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

// Config configures New; see its fields.
type Config = redis.Config

// Store keeps records in Redis; it is safe for concurrent use. Its Check tells
// at start whether the server may evict records.
type Store = redis.Store

// ErrEviction is what errors.Is finds in the error of Store.Check where the
// server may evict records.
var ErrEviction = redis.ErrEviction

var _ idempotency.Store = (*Store)(nil)

// New returns a store on client, which stays the caller's to close. Each
// operation is one script on one key, so that a cluster will do. Nothing is
// asked of the server yet.
func New(client goredis.UniversalClient, cfg Config) (*Store, error) { return redis.New(client, cfg) }
