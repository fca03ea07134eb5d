package forwarder

import (
	"encoding/json"
	"maps"
	"testing"
)

func FuzzPlainHeadersAreWhatJSONReads(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":"b"}`, `{"a":"b","c":"d"}`, `{"":""}`, `{"a":"b","a":"c"}`, `{"ü":"日本"}`,
		`{"a":"b\\n"}`, `{"a": "b"}`, `{"a":1}`, `{"a":"b"}}`, `{"a":"b",}`, `{"a"}`, `{"a":`, `{"a":"`, `{"a":"b"`, `{`, `}`, ``, `null`, `["a"]`,
		"{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}", `{"a":"b""c":"d"}`, `{,}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := map[string]string{}
		if !plainObject(string(b), got) {
			return // left to encoding/json
		}
		var want map[string]string
		if err := json.Unmarshal(b, &want); err != nil || !maps.Equal(got, want) {
			t.Fatalf("%q: read %q, encoding/json reads %q, %v", b, got, want, err)
		}
	})
}

func TestWhatPublishWritesIsReadWithoutTheSlowWay(t *testing.T) {
	b, err := json.Marshal(map[string]string{"a": "1", "content-type": "text/plain; charset=utf-8", "ü": "日本"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if !plainObject(string(b), got) || len(got) != 3 || got["ü"] != "日本" {
		t.Fatalf("%s: read %q", b, got)
	}
}
