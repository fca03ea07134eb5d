package slack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/slack"
	"github.com/sluicegate/sluicegate/alert/template"
)

const token = "canary0token0of0the0webhook"

func open(base string, cfg slack.Config) (*slack.Channel, error) {
	return slack.New(base+"/services/T0000/B0000/"+token, cfg)
}

type message struct {
	Text   string
	Blocks []struct {
		Type string
		Text struct{ Type, Text string }
	}
}

func TestConformance(t *testing.T) {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			return open(base, slack.Config{Client: client})
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Body: "ok"},
			alerttest.Busy:    {Status: 500, Body: "rollup_error " + alerttest.Echo},
			alerttest.Limited: {Status: 429, Header: map[string]string{"Retry-After": "30"}, Body: "rate_limited " + alerttest.Echo},
			alerttest.Broken:  {Status: 404, Body: "no_service " + alerttest.Echo},
			alerttest.Refused: {Status: 400, Body: "invalid_blocks " + alerttest.Echo},
		},
		Text: func(_ *http.Request, body []byte) (string, error) {
			var m message
			if err := json.Unmarshal(body, &m); err != nil {
				return "", err
			}
			if n := template.UTF16(m.Blocks[0].Text.Text); n > 150 {
				return "", fmt.Errorf("the header has %d characters", n)
			}
			if n := template.UTF16(m.Blocks[1].Text.Text); n > 3000 {
				return "", fmt.Errorf("the section has %d characters", n)
			}
			return m.Blocks[0].Text.Text + "\n" + m.Blocks[1].Text.Text, nil
		},
	}
	alerttest.Run(t, alerttest.Harness{Open: service.Open, Secrets: []string{token}, MaxText: 3200, Size: template.UTF16})
}

func TestTheRequestIsThatOfAnIncomingWebhook(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: "ok"})
	c, err := open(base, slack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Handler = "shop & <stock>"
	n.Samples[1].Reason = "<!channel> <https://evil.example|click>"
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	if r.Method != http.MethodPost || r.Path != "/services/T0000/B0000/"+token || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Header)
	}
	alerttest.Golden(t, "body.json", r.Body)
	if strings.Contains(string(r.Body), "<!channel>") {
		t.Error("an error text mentions everybody")
	}
}

func TestRetryAfterIsObeyedInBothItsForms(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"30":                            30 * time.Second,
		"Sun, 01 Mar 2026 09:02:00 GMT": 2 * time.Minute,
		"Sun, 01 Mar 2020 09:02:00 GMT": 0,
		"":                              time.Minute,
		"soon":                          time.Minute,
		"-5":                            time.Minute,
		"99999999999999":                24 * time.Hour,
	} {
		base, _ := alerttest.Capture(t, alerttest.Answer{Status: 429, Header: map[string]string{"Retry-After": header}})
		c, err := open(base, slack.Config{Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		var failed *alert.SendError
		if err := c.Send(t.Context(), alerttest.Sample()); !errors.As(err, &failed) || !failed.Until.Equal(now.Add(want)) {
			t.Errorf("%q: %v", header, err)
		}
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url    string
		cfg    slack.Config
		fields []string
	}{
		{"https://hooks.slack.com/", slack.Config{}, []string{"url: its path does not end in a token"}},
		{"http://hooks.slack.com/services/" + token, slack.Config{}, []string{"url: it comes with a secret"}},
		{"https://user:" + token + "@a@b/x", slack.Config{}, []string{"url:"}},
		{"https://x,y/" + token, slack.Config{Title: "{{.Titel}}", Template: "{{.Nme}}", Timeout: -1}, []string{"url: it names more than one host", "Config.Title", "Config.Template: line 1: unknown field .Nme: did you mean .Name?", "Config.Timeout"}},
	} {
		_, err := slack.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{token}, c.fields...)
	}
}

func Example() {
	channel, err := slack.New("https://hooks.slack.com/services/T0/B0/X0", slack.Config{
		Template: "{{.Handler}} failed {{.Count}} times: {{.Error}}",
	})
	fmt.Println(channel, err)
	// Output:
	// slack channel at hooks.slack.com <nil>
}
