package deadletter

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
)

// The columns that scan reads.
const (
	about = "id, ref, status, consumer, handler, topic, subscriber, message_key, message_uuid, reason, fingerprint," +
		" epoch, previous_id, redrive_id, redriven_at, dead_at"
	full  = about + ", payload, headers, attempts, edited_payload, edited_headers"
	brief = about + ", NULL, '{}', '[]', NULL, NULL"
)

func scan(row interface{ Scan(...any) error }) (Letter, error) {
	var (
		l                       Letter
		uuid, headers, attempts string
		ref, editedHeaders      sql.NullString
		payload, editedPayload  []byte
		at, redriven            int64
	)
	err := row.Scan(&l.ID, &ref, &l.Status, &l.Consumer, &l.Handler, &l.Topic, &l.Subscriber, &l.Key, &uuid, &l.Reason, &l.Group,
		&l.Epoch, &l.Previous, &l.Redrive, &redriven, &at, &payload, &headers, &attempts, &editedPayload, &editedHeaders)
	if err != nil {
		return Letter{}, err
	}
	l.Ref, l.At = ref.String, time.UnixMicro(at).UTC()
	if redriven != 0 {
		l.RedrivenAt = time.UnixMicro(redriven).UTC()
	}
	l.Message = message.NewMessage(uuid, payload)
	if l.Message.Metadata, err = header.Decode(headers); err != nil {
		return Letter{}, fmt.Errorf("dead letter %d: %w", l.ID, err)
	}
	if err := json.Unmarshal([]byte(attempts), &l.Attempts); err != nil {
		return Letter{}, fmt.Errorf("dead letter %d: decode attempts: %w", l.ID, err)
	}
	if editedHeaders.Valid {
		l.Edited = &Edit{Payload: editedPayload}
		if l.Edited.Payload == nil {
			l.Edited.Payload = []byte{} // a SQLite driver gives nil for an empty blob
		}
		if l.Edited.Metadata, err = header.Decode(editedHeaders.String); err != nil {
			return Letter{}, fmt.Errorf("dead letter %d: %w", l.ID, err)
		}
	}
	return l, nil
}
