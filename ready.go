package sluicegate

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/internal/schema"
	"github.com/sluicegate/sluicegate/internal/sqldialect"
)

// schemaWait bounds the look at the schema: a database that does not answer is no
// reason not to start.
const schemaWait = 5 * time.Second

// checkSchema returns an error where the database answers and lacks tables that the
// Stack needs: without them every message would go back to the broker for ever. A
// database that is away says nothing about them.
func (s *Stack) checkSchema(ctx context.Context) error {
	if s.db == nil || s.inbox == nil && s.stored == nil && s.parker == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, schemaWait)
	defer cancel()
	names := sqldialect.Names{Schema: s.cfg.Schema, Prefix: s.cfg.Prefix}
	var err error
	for range 2 { // it may have come back only just now
		if err = schema.Check(ctx, s.db, s.cfg.Dialect, names); err == nil || s.db.PingContext(ctx) != nil {
			return nil
		}
	}
	if ctx.Err() != nil || s.cfg.Dialect.IsUnavailable(err) || s.cfg.Dialect.IsContention(err) {
		return nil
	}
	return fmt.Errorf("run stack: %w", err)
}
