package httpidem_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/httpidem"
)

func TestKeysInTheirTwoForms(t *testing.T) {
	const uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324"
	for in, want := range map[string]string{
		`"` + uuid + `"`:                      uuid,
		uuid:                                  uuid,
		`"\"\\"`:                              `"\`,
		"a=b/c:d+e":                           "a=b/c:d+e",
		`"` + strings.Repeat("k", 255) + `"`:  strings.Repeat("k", 255),
		`"` + strings.Repeat(`\"`, 255) + `"`: strings.Repeat(`"`, 255),
	} {
		if got, err := httpidem.ParseKey([]string{in}); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{" \"a b\" ", "\t\"a b\"\t"} {
		if got, err := httpidem.ParseKey([]string{in}); err != nil || got != "a b" {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if got, err := httpidem.ParseKey(nil); got != "" || err != nil {
		t.Errorf("no header: %q, %v", got, err)
	}
	for _, in := range [][]string{
		{""}, {" "}, {`""`}, {`"`}, {`"a`}, {`a"`}, {`"a"b`}, {`"a";v=1`}, {`"a", "b"`}, {"a,b"}, {"a;b"}, {"a b"}, {`a\b`},
		{`"\a"`}, {`"a\`}, {`"\"`}, {"\"a\x7f\""}, {"\"a\x00\""}, {"\"é\""}, {"é"}, {"a\x00"}, {"a\x7f"},
		{strings.Repeat("k", 256)}, {`"` + strings.Repeat("k", 256) + `"`}, {"a", "a"}, {"a", ""},
	} {
		if got, err := httpidem.ParseKey(in); !errors.Is(err, httpidem.ErrKey) || got != "" {
			t.Errorf("%q: %q, %v; want ErrKey", in, got, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"", `"a"`, `a`, `"\""`, `"a";b`, "a,b", `"é"`, "\x00", strings.Repeat("k", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := httpidem.ParseKey([]string{s})
		if err != nil {
			if key != "" || !errors.Is(err, httpidem.ErrKey) {
				t.Fatalf("%q: %q with %v", s, key, err)
			}
			if len(s) > 8 && strings.Contains(err.Error(), s) {
				t.Fatalf("the error repeats the header: %v", err)
			}
			return
		}
		if key == "" || len(key) > 255 {
			t.Fatalf("%q: a key of %d characters", s, len(key))
		}
		for i := range len(key) {
			if key[i] < ' ' || key[i] > '~' {
				t.Fatalf("%q: the key holds %q", s, key[i])
			}
		}
		// Written as a structured-field String, it is the same key.
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
		if again, err := httpidem.ParseKey([]string{quoted}); err != nil || again != key {
			t.Fatalf("%q is %q, but %q is %q (%v)", s, key, quoted, again, err)
		}
		r := http.Header{"Idempotency-Key": {s}}
		if got, _ := httpidem.ParseKey(r["Idempotency-Key"]); got != key {
			t.Fatal("not the same twice")
		}
	})
}
