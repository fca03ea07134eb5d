package fingerprint_test

import (
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/internal/fingerprint"
)

func TestTheValuesInATextAreReplacedAndItsWordsStay(t *testing.T) {
	for in, want := range map[string]string{
		"":                          "",
		"no such product":           "no such product",
		"order 17 of customer 4711": "order <n> of customer <n>",
		"order-17 is -3.50 short, 1,234.5 in all":                        "order-<n> is <n> short, <n> in all",
		`no product "blue lamp" in 'store \'A\''`:                        `no product ? in ?`,
		"don't and won't are no quotations":                              "don't and won't are no quotations",
		"key 123e4567-e89b-12d3-a456-426614174000 is taken":              "key <uuid> is taken",
		"dial tcp 10.1.2.3:5432: connect: connection refused":            "dial tcp <addr>: connect: connection refused",
		"dial tcp [::1]:5432: connect: connection refused":               "dial tcp <addr>: connect: connection refused",
		"lookup db-7.internal:3306: no such host":                        "lookup <addr>: no such host",
		`Post http://shop.example/a/17?x=1: context deadline exceeded`:   "Post http://<addr> context deadline exceeded",
		"trace 4bf92f3577b34da6 and 0x1f and 01ARZ3NDEKTSV4RRFFQ69G5FAV": "trace <id> and <id> and <id>",
		"mail to a.b+c@shop.example bounced":                             "mail to <addr> bounced",
		"ERROR: duplicate key (SQLSTATE 23505) for 99":                   "ERROR: duplicate key (SQLSTATE 23505) for <n>",
		"unexpected status 503 after 12.5s":                              "unexpected status 503 after <n>s",
		"Error 1062 (23000): Duplicate entry '17' for key 'PRIMARY'":     "Error 1062 (<n>): Duplicate entry ? for key ?",
		"handler12 in v2  of\n\tthe api":                                 "handler<n> in v<n> of the api",
		"at 2026-01-02T03:04:05.678Z":                                    "at <n>-<n>-<n>T<n>Z",
		"商品 42 不存在 “蓝”":                                                  "商品 <n> 不存在 ?",
		"panic: runtime error: index out of range [5] with length 3":     "panic: runtime error: index out of range [<n>] with length <n>",
		"deadbeef feedface decade facade":                                "deadbeef feedface decade facade",
	} {
		if got := fingerprint.Normalize(in); got != want {
			t.Errorf("%q\n is %q\nwant %q", in, got, want)
		}
	}
}

func TestTextsThatDifferInValuesHaveOneFingerprintAndOthersHaveNot(t *testing.T) {
	same := []string{
		`order 17: no stock of "lamp" at 10.0.0.1:80`,
		`order 4711: no stock of "a very \"long\" chair" at 10.0.0.2:8080`,
		`order   3:  no stock of "" at 192.168.1.1`,
	}
	for _, s := range same {
		if got := fingerprint.Of(s); got != fingerprint.Of(same[0]) || !fingerprint.Valid(got) {
			t.Errorf("%s: %s", s, got)
		}
	}
	for _, s := range []string{"order 17: no stock", "status 404", "status 503", "SQLSTATE 40001", "SQLSTATE 40P01", "", "x"} {
		for _, other := range []string{"order 17: stock", "status 500", "SQLSTATE 23505", "y"} {
			if fingerprint.Of(s) == fingerprint.Of(other) {
				t.Errorf("%q and %q are one", s, other)
			}
		}
	}
}

func TestHostileTextsEnd(t *testing.T) {
	for _, s := range []string{
		strings.Repeat(`"`, 1<<20), strings.Repeat("1", 1<<20), strings.Repeat("a1", 1<<20), "\xff\x00" + strings.Repeat("'", 4096),
		strings.Repeat("a.", 1<<16), strings.Repeat("a:", 1<<16), `"never closed 17`,
	} {
		if got := fingerprint.Normalize(s); len(got) > 4096 {
			t.Errorf("%.20q grew to %d bytes", s, len(got))
		}
	}
	if a, b := fingerprint.Of(strings.Repeat("x ", 600)+"a"), fingerprint.Of(strings.Repeat("x ", 600)+"b"); a != b {
		t.Error("what follows the first 1024 bytes must not count")
	}
}

func TestOnlyFingerprintsAreValid(t *testing.T) {
	for _, s := range []string{"", "abc", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef0"} {
		if fingerprint.Valid(s) {
			t.Errorf("%q", s)
		}
	}
}
