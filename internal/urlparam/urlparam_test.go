package urlparam

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPartsAreDecodedAndHostsKeptApart(t *testing.T) {
	u, err := Parse("KAFKA://us%3Aer:p%2F%40@h1:1,[::1]:2,h3/a%20b?x=1")
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	if u.Scheme != "kafka" || u.User.Username() != "us:er" || password != "p/@" || u.Path != "/a b" || u.RawQuery != "x=1" {
		t.Errorf("%q %q %q %q %q", u.Scheme, u.User.Username(), password, u.Path, u.RawQuery)
	}
	hosts, err := Hosts(u.Host, 9)
	if err != nil || !slices.Equal(hosts, []string{"h1:1", "[::1]:2", "h3:9"}) {
		t.Errorf("%v, %v", hosts, err)
	}
	if strings.Contains(u.Redacted(), "p%2F") {
		t.Error("Redacted shows the password")
	}
}

func TestEveryParameterProblemIsReportedAtOnce(t *testing.T) {
	u, err := Parse("x://h?count=many&wait=5&mode=fats&extra=1&on=maybe&cuont=2&empty=")
	if err != nil {
		t.Fatal(err)
	}
	q := NewQuery(u)
	if got := q.Int("count", 7, 1, 9); got != 7 {
		t.Errorf("count %d", got)
	}
	if got := q.Duration("wait", time.Second, 0, time.Hour); got != time.Second {
		t.Errorf("wait %s", got)
	}
	q.Enum("mode", "slow", "slow", "fast")
	q.Bool("on", true)
	q.String("empty", "")
	text := q.Err().Error()
	for _, want := range []string{
		"count: must be a whole number from 1 to 9", "wait: must be a duration with its unit", "mode: unknown value: did you mean fast?",
		"on: unknown value", `"cuont": did you mean count?`, `"extra": known are count`, "empty: is empty",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
