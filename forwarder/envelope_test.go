package forwarder

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Of each, whether the pass that is made for plain ones may read it.
var envelopes = map[string]bool{
	`{"destination_topic":"orders","uuid":"u","payload":"aGVsbG8=","metadata":{"a":"b","c":"d"}}`:       true,
	`{"uuid": "u", "payload": "", "metadata": {}, "destination_topic": "orders"}`:                       true, // as MySQL gives JSON back
	" {\"destination_topic\" :\n\"orders\"}\t":                                                          true,
	`{"destination_topic":"Bestellung für 東京","uuid":"u","payload":"AA==","metadata":{"ü":"東"}}`:        true,
	`{"destination_topic":"orders","uuid":"\u0041","payload":"aGVsbG8=","metadata":{"a":"\"quoted\""}}`: false,
	`{"destination_topic":"orders","uuid":"u","payload":null,"metadata":null}`:                          false,
	`{"Destination_Topic":"orders","uuid":"u","payload":"AA==","metadata":{}}`:                          false, // keys fold
	`{"destination_topic":"orders","destination_topic":"others"}`:                                       false, // the last holds
	`{"destination_topic":"orders","metadata":{"a":"1","a":"2"}}`:                                       false,
	`{"destination_topic":"orders","metadata":{"a":"1"},"metadata":{"b":"2"}}`:                          false, // they are merged
	`{"destination_topic":"orders","more":{"deep":[1,2,{"x":null}]},"uuid":"u"}`:                        false,
	"{\"destination_topic\":\"orders\",\"uuid\":\"\xff\"}":                                              false, // replaced
	`{"destination_topic":"orders","payload":"aGVs\nbG8="}`:                                             false,
	`{"destination_topic":"orders","payload":"not base64"}`:                                             false,
	`{"destination_topic":"orders","uuid":7}`:                                                           false,
	`{"destination_topic":"orders"`:                                                                     false,
	`{"destination_topic":"orders",}`:                                                                   false,
	`{"destination_topic":"orders"} x`:                                                                  false,
	"{\"destination_topic\":\"or\tders\"}":                                                              false,
	`{"destination_topic":"","uuid":"u"}`:                                                               false,
	`{}`:                                                                                                false, ``: false, `null`: false, `[]`: false, `"text"`: false, `{"`: false, `{"a`: false, `{"a"`: false, `{"uuid":`: false,
}

func TestAnEnvelopeIsReadAsEncodingJSONReadsIt(t *testing.T) {
	for text, plain := range envelopes {
		if _, ok := plainEnvelope([]byte(text)); ok != plain {
			t.Errorf("%s: plain is %v, want %v", text, ok, plain)
		}
		compareEnvelope(t, []byte(text))
	}
}

func FuzzEnvelope(f *testing.F) {
	for text := range envelopes {
		f.Add([]byte(text))
	}
	f.Fuzz(compareEnvelope)
}

func compareEnvelope(t *testing.T, text []byte) {
	t.Helper()
	var want envelope
	bad := json.Unmarshal(text, &want) != nil || want.DestinationTopic == ""
	got, err := decodeEnvelope(text)
	if (err != nil) != bad {
		t.Fatalf("%q: error %v, and encoding/json's says bad: %v", text, err, bad)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: got %+v, want %+v", text, got, want)
	}
}

func BenchmarkEnvelope(b *testing.B) {
	text, err := json.Marshal(envelope{
		DestinationTopic: "orders.placed", UUID: "0b0e7a1c-2f5e-4a43-9e50-7c9d8a1c7e11", Payload: []byte(strings.Repeat("x", 256)),
		Metadata: message.Metadata{"correlation_id": "0b0e7a1c-2f5e-4a43", "partition_key": "customer-17", "source": "bench"},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := plainEnvelope(text); !ok {
				b.Fatal("not plain")
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var e envelope
			if err := json.Unmarshal(text, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}
