package address

import (
	"strings"
	"testing"
	"time"
)

var rule = Rule{
	Schemes:  []string{"redis", "rediss"},
	Example:  "redis://host:6379/0",
	NeedHost: true,
	Params:   map[string]Check{"pool_size": Int(1, 100), "dial_timeout": Duration(0, time.Minute), "mode": OneOf("fast", "safe"), "password": Secret},
}

func TestAGoodURLHasNoProblem(t *testing.T) {
	for _, raw := range []string{
		"redis://localhost:6379/0", "rediss://u:p%40ss@[::1]:6379/1?pool_size=5", "redis://h?dial_timeout=2s&mode=fast",
	} {
		if _, err := Parse(raw, rule); err != nil {
			t.Errorf("Parse(%q) = %v", raw, err)
		}
	}
}

func TestEveryProblemOfAURLIsToldAndNoSecret(t *testing.T) {
	const canary = "cAnArY-5ecret"
	for _, c := range []struct {
		name, raw string
		want      []string
	}{
		{"empty", "", []string{"is empty", "redis://host:6379/0"}},
		{"blank", "  ", []string{"is empty"}},
		{"space around", " redis://h", []string{"space"}},
		{"no scheme", "localhost:6379", []string{"is not a URL"}},
		{"wrong scheme", "rediz://u:" + canary + "@h", []string{`"rediz"`, `did you mean "redis"`}},
		{"far scheme", "https://u:" + canary + "@h", []string{"known: redis, rediss"}},
		{"no host", "redis:///0", []string{"no host"}},
		{"port too high", "redis://u:" + canary + "@h:99999", []string{"1 to 65535"}},
		{"port no number", "redis://u:" + canary + "@h:six", []string{"1 to 65535"}},
		{"slash in the password", "redis://u:" + canary + "/x@h:6379/0", []string{"%2F"}},
		{"hash in the password", "redis://u:" + canary + "#x@h:6379/0", []string{"%23"}},
		{"percent in the password", "redis://u:" + canary + "%zz@h:6379/0", []string{"%25"}},
		{"all at once", "redis://u:" + canary + "@h:0?pool_sise=1&dial_timeout=10&mode=fats&password=" + canary,
			[]string{"1 to 65535", `did you mean "pool_size"`, "with a unit", `did you mean "fast"`}},
		{"given twice", "redis://h?pool_size=1&pool_size=2", []string{"given 2 times"}},
		{"out of range", "redis://h?pool_size=-1&dial_timeout=-1s", []string{"from 1 to 100", "from 0s to 1m0s"}},
		{"bad parameters", "redis://h?a=%zz", []string{"cannot be read"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.raw, rule)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not tell %q", err, w)
				}
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("error repeats the password: %q", err)
			}
			if r := Redact(c.raw); strings.Contains(r, canary) {
				t.Errorf("Redact repeats the password: %q", r)
			}
		})
	}
}

func TestRedactKeepsWhatIsNoSecret(t *testing.T) {
	for raw, want := range map[string]string{
		"postgres://u:p@h:5432/db?sslmode=disable": "postgres://u:***@h:5432/db?sslmode=disable",
		"kafka://h1:9092,h2:9092":                  "kafka://h1:9092,h2:9092",
		"memory://":                                "memory://",
		"redis://:p@h/0":                           "redis://:***@h/0",
		"x://h?sslpassword=p":                      "x://h?sslpassword=***",
		"rubbish":                                  "***",
		"nats://token@h:4222":                      "nats://***@h:4222",
		"nats://u:p@h?stream=S":                    "nats://u:***@h?stream=S",
		"x://h?auth_token=t&token_file=%2Frun%2Ft": "x://h?auth_token=***&token_file=%2Frun%2Ft",
	} {
		if got := Redact(raw); got != want {
			t.Errorf("Redact(%q) = %q, want %q", raw, got, want)
		}
	}
}
