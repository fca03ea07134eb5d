package httpidem

import (
	"bytes"
	"net/http"
	"reflect"
	"testing"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	header := http.Header{"Link": {"a", "b", ""}, "Etag": {`"x"`}, "Set-Cookie": {"secret"}}
	for _, o := range []outcome{
		{kind: response, status: 201, header: header, body: all},
		{kind: response, status: 204, header: http.Header{}},
		{kind: response, fingerprint: "f", status: 499, header: header, body: []byte{0}},
		{kind: unrepeated}, {kind: doubtful}, {kind: void}, {kind: resultBytes, body: all}, {kind: unrepeated, fingerprint: "f"},
	} {
		b := o.encode([]string{"Etag", "Link", "Location"})
		if bytes.Contains(b, []byte("secret")) {
			t.Error("a header that is not to be stored was")
		}
		got, err := decode(b)
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		want := o
		if len(o.header) > 0 {
			want.header = http.Header{"Link": header["Link"], "Etag": header["Etag"]}
		}
		if !bytes.Equal(got.body, want.body) {
			t.Errorf("body %q, want %q", got.body, want.body)
		}
		got.body, want.body = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
		for n := range len(b) - len(o.body) {
			if _, err := decode(b[:n]); err == nil {
				t.Errorf("the first %d of %d bytes are a record", n, len(b))
			}
		}
	}
	for _, b := range [][]byte{nil, {1}, {2, 1, 0}, {1, 99, 0}, {1, 1, 0, 5, 0}, {1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		if _, err := decode(b); err == nil {
			t.Errorf("%v is a record", b)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(outcome{kind: response, status: 201, header: http.Header{"Etag": {"x"}}, body: []byte("b")}.encode([]string{"Etag"}))
	f.Add(outcome{kind: resultBytes, fingerprint: "f"}.encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := decode(b)
		if err != nil {
			return
		}
		names := []string{}
		for name := range o.header {
			names = append(names, name)
		}
		again, err := decode(o.encode(names))
		if err != nil || again.status != o.status || !bytes.Equal(again.body, o.body) || !reflect.DeepEqual(again.header, o.header) {
			t.Fatalf("%+v is %+v, %v", o, again, err)
		}
	})
}

func TestPartsOfAnIdentityAreKeptApart(t *testing.T) {
	seen := map[string][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a:b", "c"}, {"a", "b:c"}, {"a", "b", "c"}, {"ab", "c"}, {"\x01a"}, {"a\x01"}} {
		id := identify(parts...)
		if other, ok := seen[id]; ok || len(id) != 43 {
			t.Errorf("%q and %q are both %s", parts, other, id)
		}
		seen[id] = parts
	}
}
