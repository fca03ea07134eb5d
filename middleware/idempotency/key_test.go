package idempotency_test

import (
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/header"
	"github.com/sluicegate/sluicegate/middleware/idempotency"
)

func TestTheDefaultKeyIsTheBusinessKeyThenCloudEventsThenTheUUID(t *testing.T) {
	for _, c := range []struct {
		name, uuid, want string
		metadata         message.Metadata
	}{
		{"business key", "u", "b", message.Metadata{header.IdempotencyKey: "b", "ce_id": "i", "ce_source": "s"}},
		{"Kafka", "u", "1:s:i", message.Metadata{"ce_id": "i", "ce_source": "s"}},
		{"HTTP", "u", "1:s:i", message.Metadata{"ce-id": "i", "ce-source": "s"}},
		{"HTTP in Go", "u", "1:s:i", message.Metadata{"Ce-Id": "i", "Ce-Source": "s"}},
		{"AMQP", "u", "1:s:i", message.Metadata{"cloudEvents:id": "i", "cloudEvents:source": "s"}},
		{"half a CloudEvent", "u", "u", message.Metadata{"ce_id": "i", "ce-source": "s"}},
		{"UUID", "u", "u", nil},
		{"nothing", "", "", nil},
	} {
		msg := message.NewMessage(c.uuid, nil)
		msg.Metadata = c.metadata
		got, err := idempotency.DefaultKey()(msg)
		if got != c.want || (err == nil) != (c.want != "") || (err != nil && !errors.Is(err, idempotency.ErrNoKey)) {
			t.Errorf("%s: key %q, error %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestCloudEventsOfDifferentSourcesHaveDifferentKeys(t *testing.T) {
	key := func(source, id string) string {
		msg := message.NewMessage("", nil)
		msg.Metadata = message.Metadata{"ce_source": source, "ce_id": id}
		k, err := idempotency.CloudEvents()(msg)
		must(t, err)
		return k
	}
	if key("a:b", "c") == key("a", "b:c") {
		t.Error("two CloudEvents share a key")
	}
}

func TestFirstPassesOnAnErrorThatIsNotTheLackOfAKey(t *testing.T) {
	broken := func(*message.Message) (string, error) { return "", errHandler }
	if _, err := idempotency.First(broken, idempotency.UUID())(message.NewMessage("u", nil)); !errors.Is(err, errHandler) {
		t.Errorf("error %v, want that of the function", err)
	}
	empty := func(*message.Message) (string, error) { return "", nil }
	if k, err := idempotency.First(empty, idempotency.UUID())(message.NewMessage("u", nil)); k != "u" || err != nil {
		t.Errorf("key %q, error %v; want u", k, err)
	}
}
