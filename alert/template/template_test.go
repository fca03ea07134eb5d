package template_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/template"
)

func full() alert.Notification {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	return alert.Notification{
		Status: alert.Firing, Name: "message_dead_lettered", Severity: alert.Critical, Handler: "shop/stock", Topic: "orders.placed",
		Summary: "A message could not be handled.", Count: 3, First: at, Last: at.Add(10 * time.Second),
		Labels: map[string]string{"team": "stock", "zone": "b"}, Link: "https://shop.example/dead?id=7",
		Samples: []alert.Sample{{Key: "order-1", Reason: "no stock", At: at}, {Key: "order-9", Reason: "time-out", At: at.Add(10 * time.Second)}},
	}
}

func render(t *testing.T, text string, n alert.Notification, limit template.Limit) string {
	t.Helper()
	tpl, err := template.New(text, template.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return tpl.Render(n, limit)
}

func TestTheDefaultNamesWhatAPersonNeeds(t *testing.T) {
	want := `[FIRING] critical: message_dead_lettered
A message could not be handled.
Handler: shop/stock
Topic: orders.placed
Key: order-9
Error: time-out
Count: 3, first 2026-03-01 09:30:00 UTC, last 2026-03-01 09:30:10 UTC
team: stock
zone: b
Link: https://shop.example/dead?id=7
Samples:
- 2026-03-01 09:30:00 UTC order-1: no stock
- 2026-03-01 09:30:10 UTC order-9: time-out`
	if got := render(t, template.Text, full(), template.Limit{}); got != want {
		t.Errorf("got:\n%s", got)
	}
	resolved := alert.Notification{Status: alert.Resolved, Name: "circuit_open", Severity: alert.Warning, Handler: "shop/pay"}
	if got := render(t, template.Text, resolved, template.Limit{}); got != "[RESOLVED] warning: circuit_open\nHandler: shop/pay" {
		t.Errorf("got:\n%s", got)
	}
	digest := alert.Notification{
		Name: alert.DigestName, Severity: alert.Warning, Count: 12, Omitted: 4,
		Digest: []alert.Digest{{Status: alert.Firing, Name: "a", Severity: alert.Info, Handler: "h", Count: 7}},
	}
	if got := render(t, template.Text, digest, template.Limit{}); got != "[FIRING] warning: alert_digest\nCount: 12\nHeld back:\n- [FIRING] info: a (h), 7 times\nand 4 more" {
		t.Errorf("got:\n%s", got)
	}
}

func TestATemplateThatCannotWorkIsRefusedWithTheField(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "is empty",
		"  \n":                                 "is empty",
		"{{.Name":                              "does not parse",
		"{{nope .Name}}":                       "does not parse",
		"{{.Kye}} x":                           "line 1: unknown field .Kye: did you mean .Key?",
		"x\n{{.Nothing}}":                      "line 2: unknown field .Nothing: known are At, Count",
		"x{{if .Repeat}}{{.Haendler}}{{end}}":  "unknown field .Haendler: did you mean .Handler?",
		"x{{range .Samples}}{{.Reasn}}{{end}}": "unknown field .Reasn",
		"x{{range $i, $s := .Samples}}{{$s.Reason}}{{end}}":                     "unknown field .Reason",
		"x{{with .Digest}}{{range .}}{{.Kount}}{{end}}{{end}}":                  "unknown field .Kount: did you mean .Count?",
		"x{{if false}}{{range .Digest}}{{$.Foo}}{{end}}{{end}}":                 "unknown field .Foo",
		"x{{if false}}{{(index .Samples 0).Kex}}{{end}}":                        "",
		"x{{$k := .Key}}{{if false}}{{$k.Foo}}{{end}}":                          "unknown field .Foo",
		"x{{if false}}{{.First.Formt `x`}}{{end}}":                              "unknown field .Formt",
		`x{{define "a"}}{{.Foo}}{{end}}{{if .Repeat}}{{template "a" .}}{{end}}`: "unknown field .Foo",
		`x{{if .Repeat}}{{template "b" .}}{{end}}`:                              `unknown template "b"`,
		"x{{if true}}y{{else}}{{.Foo}}{{end}}":                                  "unknown field .Foo",
		"x{{with .Name}}y{{else}}{{.Foo}}{{end}}":                               "unknown field .Foo",
		"x{{range 1}}y{{else}}{{.Foo}}{{end}}":                                  "unknown field .Foo",
		"{{(index .Samples 0).Key}}":                                            "fails on an alert without samples",
		"{{if .Firing}}x{{end}}":                                                "writes nothing for an alert that is resolved",
		"x{{if false}}{{range .Count}}{{.Foo}}{{end}}{{end}}":                   "unknown field .Foo",
		"x{{if false}}{{range .Link}}y{{end}}{{end}}":                           "range over .Link",
	} {
		_, err := template.NewField("Config.Template", text, template.Config{})
		switch {
		case want == "" && err == nil: // what only execution would tell
		case err == nil || !strings.HasPrefix(err.Error(), "Config.Template: ") || !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestEverythingThatTheDocumentationNamesIsAccepted(t *testing.T) {
	for _, text := range []string{
		"[{{upper .Status}}] {{lower .Name}} {{time .First}} {{.At.Unix}} {{.Labels.anything}} {{len .Samples}} {{.New}} {{.Repeat}} {{.Omitted}} {{.Fingerprint}}",
		"x{{range $i, $s := .Samples}}{{$i}}{{$s.Key}}{{$s.Error}}{{$s.At.Format `15:04`}}{{end}}",
		"x{{range .Digest}}{{.Status}}{{.Severity}}{{.Topic}}{{$.Name}}{{else}}{{.Name}}{{end}}",
		"x{{with $x := .Handler}}{{$x}}{{else with .Topic}}{{.}}{{end}}",
		"x{{range $name, $value := .Labels}}{{$name}}{{$value}}{{end}}",
		`{{define "a"}}{{.Name}}{{end}}{{template "a" .}}`,
		"x{{.Key | printf `%q` | len}}{{$a := 1}}{{$a = 2}}{{$a}}",
	} {
		if _, err := template.New(text, template.Config{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNoValueBreaksOutOfItsPlace(t *testing.T) {
	n := full()
	n.Samples = []alert.Sample{{Key: "a\r\nBcc: x\u2028y\x00z\xff", Reason: "\u202eevil\n# heading [a](b) <script>"}}
	got := render(t, "{{.Key}}|{{.Error}}", n, template.Limit{})
	if got != "a  Bcc: x y�z�|evil # heading [a](b) <script>" {
		t.Errorf("got %q", got)
	}
	tpl, err := template.New("{{.Error}} <b>", template.Config{Escape: template.EscapeMarkdown})
	if err != nil {
		t.Fatal(err)
	}
	if got := tpl.Render(n, template.Limit{}); got != "evil # heading [a]\u200b(b) ‹script› <b>" {
		t.Errorf("got %q", got)
	}
}

func TestWhatIsTooLongKeepsItsLinkAndWholeRunes(t *testing.T) {
	n := full()
	n.Samples[1].Reason = strings.Repeat("错误🙂", 10_000)
	for name, size := range map[string]func(string) int{"bytes": template.Bytes, "utf16": template.UTF16, "json": template.JSON} {
		for _, limit := range []int{1, 2, 3, 5, 20, 70, 200, 2048, 4096, 18_000} {
			got := render(t, template.Text, n, template.Limit{Max: limit, Size: size})
			if size(got) > limit || !utf8.ValidString(got) {
				t.Fatalf("%s: %d of %d, %t", name, size(got), limit, utf8.ValidString(got))
			}
			if limit >= 2048 && (!strings.Contains(got, n.Link) || !strings.Contains(got, "shop/stock") || !strings.Contains(got, "错误🙂")) {
				t.Fatalf("%s, %d: %s", name, limit, got)
			}
		}
	}
	if got := render(t, "{{.Name}} {{.Link}} {{.Key}}", n, template.Limit{Max: 50}); got != "message_dead_lettered  order-9" {
		t.Errorf("a link that does not fit: %q", got)
	}
	if got := render(t, "{{.Name}} {{.Handler}} {{.Topic}}", n, template.Limit{Max: 30}); got != "message_dead_lettered shop/…" {
		t.Errorf("got %q", got)
	}
}

func TestWhatFailsOnOneAlertIsWrittenByTheDefault(t *testing.T) {
	text := "{{.Name}}{{if eq .Name `bad`}}{{index .Samples 7}}{{end}}"
	if got := render(t, text, alert.Notification{Name: "good"}, template.Limit{}); got != "good" {
		t.Errorf("got %q", got)
	}
	if got := render(t, text, alert.Notification{Name: "bad", Handler: "h", Severity: alert.Info}, template.Limit{}); got != "[FIRING] info: bad\nHandler: h" {
		t.Errorf("got %q", got)
	}
	endless := "{{.Name}}{{if eq .Name `bad`}}{{range 1000000}}{{printf `%9000d` .}}{{end}}{{end}}"
	if got := render(t, endless, alert.Notification{Name: "bad", Topic: "topic", Severity: alert.Info}, template.Limit{}); got != "[FIRING] info: bad\nTopic: topic" {
		t.Errorf("got %.100q", got)
	}
}

func TestTimesAreInTheZoneOfTheConfig(t *testing.T) {
	zone := time.FixedZone("CST", 8*3600)
	tpl, err := template.New("{{time .First}}", template.Config{Location: zone})
	if err == nil {
		if got := tpl.Render(full(), template.Limit{}); got != "2026-03-01 17:30:00 CST" {
			t.Errorf("got %q", got)
		}
		return
	}
	t.Fatal(err)
}

func TestCutMarksWhatIsMissing(t *testing.T) {
	for _, c := range []struct {
		in, want string
		limit    template.Limit
	}{
		{"abc", "abc", template.Limit{}},
		{"abcdef", "ab…", template.Limit{Max: 5}},
		{"🙂🙂🙂", "🙂…", template.Limit{Max: 4, Size: template.UTF16}},
		{"a\xffb", "a�b", template.Limit{Max: 9}},
		{"\n\n\n\n", "\n…", template.Limit{Max: 5, Size: template.JSON}},
		{"abc", "ab", template.Limit{Max: 2}},
	} {
		if got := template.Cut(c.in, c.limit); got != c.want {
			t.Errorf("Cut(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func Example() {
	tpl, err := template.New("{{upper .Severity}} {{.Handler}} on {{.Topic}}: {{.Key}}: {{.Error}} ({{.Count}} times) {{.Link}}", template.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tpl.Render(full(), template.Limit{Max: 4096}))
	_, err = template.New("{{.Handlr}}", template.Config{})
	fmt.Println(err)
	// Output:
	// CRITICAL shop/stock on orders.placed: order-9: time-out (3 times) https://shop.example/dead?id=7
	// line 1: unknown field .Handlr: did you mean .Handler?
}
