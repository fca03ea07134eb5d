package shop

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
)

// Parcel is what the courier has made of an order: a row of the table parcels.
type Parcel struct {
	OrderID  string `json:"order_id"`
	SKU      string `json:"sku,omitempty"`
	Status   string `json:"status"`
	Tracking string `json:"tracking,omitempty"`
}

// noteParcels writes down what the courier has said. The table has no unique key,
// so that what is noted twice shows.
func (s *Shop) noteParcels(ctx context.Context, tx *sql.Tx, msgs []*message.Message) ([]*message.Message, error) {
	for _, msg := range msgs {
		var p Parcel
		if err := json.Unmarshal(msg.Payload, &p); err != nil || p.OrderID == "" {
			return nil, failure.Permanent(errors.New("parcels: message is no parcel"))
		}
		_, err := tx.ExecContext(ctx, s.cfg.Dialect.Bind("INSERT INTO parcels (order_id, status, tracking, applied_at) VALUES (?, ?, ?, "+s.cfg.Dialect.Now()+")"),
			p.OrderID, p.Status, p.Tracking)
		if err != nil {
			return nil, fmt.Errorf("parcels: note: %w", err)
		}
	}
	return nil, nil
}
