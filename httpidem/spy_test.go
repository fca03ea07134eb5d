package httpidem_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/httpidem"
	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/memory"
)

// memoryAt is a store whose clock the test moves.
func memoryAt(now func() time.Time) httpidem.Store { return memory.New(memory.Config{Now: now}) }

// spy notes what a store is told.
type spy struct {
	httpidem.Store
	text string
}

func (s *spy) Claim(ctx context.Context, c idemstore.Claim) (idemstore.Record, error) {
	s.text += fmt.Sprintf("%+v", c)
	return s.Store.Claim(ctx, c)
}

func (s *spy) Complete(ctx context.Context, k idemstore.Key, token string, result []byte, retention time.Duration) error {
	s.text += fmt.Sprintf("%+v %s %s", k, token, result)
	return s.Store.Complete(ctx, k, token, result, retention)
}
