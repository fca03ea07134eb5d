package sluicegate_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate"
)

func TestAMessageOfABatchThatFailedIsHandledAsItCameIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]int{}
		gathered(t, sluicegate.Config{Park: sluicegate.ParkConfig{Off: true}}, func(ctx context.Context, tx *sql.Tx, msgs []*message.Message) error {
			for _, msg := range msgs {
				if string(msg.Payload) != msg.UUID || msg.Metadata.Get("opened") != "" {
					seen[msg.UUID]++
				}
				msg.Payload = append([]byte("opened "), msg.Payload...)
				msg.Metadata.Set("opened", "yes")
			}
			if len(msgs) > 1 {
				return errors.New("one of them cannot be handled")
			}
			return insertAll(ctx, tx, msgs)
		}, "a", "b")
		if len(seen) > 0 {
			t.Errorf("handled with what the batch had made of them: %v", seen)
		}
	})
}
