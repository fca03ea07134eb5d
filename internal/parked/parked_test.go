package parked_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/delivery"
	"github.com/sluicegate/sluicegate/internal/parked"
)

func envelope() parked.Envelope {
	return parked.Envelope{
		UUID: "u", Metadata: map[string]string{"bytes": "a\x00\xff", "text": "错"}, Payload: []byte("\x00\xffpayload"),
		Consumer: "shop", Handler: "stock", Topic: "orders", Subscriber: "kafka.Subscriber", Key: "order-1", Order: "customer-7", Epoch: 3, Letter: 4711,
		Attempts: []delivery.Record{{Number: 1, StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Duration: time.Second, Err: "boom"}},
	}
}

func TestAnEnvelopeComesBackAsItWas(t *testing.T) {
	for name, e := range map[string]parked.Envelope{"full": envelope(), "bare": {Handler: "h", Metadata: map[string]string{}, Payload: []byte{}}} {
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := parked.Decode(b)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestBytesThatAreNoEnvelopeAreRefused(t *testing.T) {
	b, err := envelope().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"none": nil, "another form": append([]byte("SP9\n"), b[4:]...), "cut off": b[:20], "no JSON": bytes.Replace(b, []byte("{"), []byte("["), 1),
		"metadata": bytes.Replace(b, []byte(`"metadata":{`), []byte(`"metadata":[{`), 1), "only a prefix": b[:8],
	} {
		if _, err := parked.Decode(bad); !errors.Is(err, parked.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheTaskIsThatOfTheHandlerAndTheKey(t *testing.T) {
	e := envelope()
	if e.Target() != "shop/stock" || e.TaskKey() != "order-1" {
		t.Error(e.Target(), e.TaskKey())
	}
	e.Consumer, e.Key = "", ""
	if e.Target() != "stock" || e.TaskKey() != "letter:4711" {
		t.Error(e.Target(), e.TaskKey())
	}
	e.Letter = 0
	if e.TaskKey() != "uuid:u" {
		t.Error(e.TaskKey())
	}
}

func TestTheContextCarriesTheEnvelope(t *testing.T) {
	e := envelope()
	if parked.From(context.Background()) != nil || parked.From(parked.With(t.Context(), &e)) != &e {
		t.Error("another envelope, or none")
	}
	if m := e.Message(); m.UUID != "u" || m.Metadata.Get("text") != "错" || string(m.Payload) != "\x00\xffpayload" {
		t.Errorf("%+v", m)
	}
}
