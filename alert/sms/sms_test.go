package sms_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/sms"
	"github.com/sluicegate/sluicegate/alert/template"
)

const bearer, apiKey = "canary0bearer0token", "canary0api0key0/+"

func TestConformance(t *testing.T) {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			return sms.New(base+"/send", []string{"+49 151 12345678"}, sms.Config{
				Limit: 140, Header: http.Header{"Authorization": {"Bearer " + bearer}}, Query: map[string]string{"key": apiKey},
				Accept: `"ok":true`, Client: client,
			})
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Body: `{"ok":true}`},
			alerttest.Busy:    {Status: 500, Body: alerttest.Echo},
			alerttest.Limited: {Status: 429, Body: alerttest.Echo},
			alerttest.Broken:  {Status: 401, Body: alerttest.Echo},
			alerttest.Refused: {Status: 400, Body: alerttest.Echo},
		},
		Text: func(_ *http.Request, body []byte) (string, error) {
			var m struct{ To, Text string }
			err := json.Unmarshal(body, &m)
			if err == nil && m.To != "+49 151 12345678" {
				err = fmt.Errorf("to %q", m.To)
			}
			return m.Text, err
		},
	}
	alerttest.Run(t, alerttest.Harness{
		Open: service.Open, Secrets: []string{bearer, apiKey}, MaxText: 140, Size: template.UTF16, Brief: true,
	})
}

func TestOneShortMessageIsTheDefault(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{})
	c, err := sms.New(base, []string{"+491"}, sms.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Samples[1].Reason = strings.Repeat("库存不足🙂", 40)
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	var m struct{ Text string }
	if err := json.Unmarshal(got()[0].Body, &m); err != nil {
		t.Fatal(err)
	}
	if size := template.UTF16(m.Text); size > 70 || size < 60 || !strings.HasPrefix(m.Text, "warning dead_letter stock orders x42 o-7 https://x.example/7 库") {
		t.Errorf("%d: %s", size, m.Text)
	}
	alerttest.Golden(t, "default.json", got()[0].Body)
}

func TestARequestIsWhatTheTemplatesSay(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{})
	get, err := sms.New(base+"/send?v=1", []string{"+491"}, sms.Config{
		Method: http.MethodGet, Template: "{{.Name}} & {{.Key}}", Query: map[string]string{"to": "{{.To}}", "text": "{{.Text}}", "key": "a b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	form, err := sms.New(base, []string{"+491"}, sms.Config{
		Template: "{{.Name}} & {{.Key}}", Body: "To={{urlquery .To}}&Body={{urlquery .Text}}",
		Header: http.Header{"content-type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*sms.Channel{get, form} {
		if err := c.Send(t.Context(), alerttest.Sample()); err != nil {
			t.Fatal(err)
		}
	}
	r := got()[0]
	want := url.Values{"v": {"1"}, "to": {"+491"}, "text": {"dead_letter & o-7"}, "key": {"a b"}}
	if r.Method != http.MethodGet || len(r.Body) != 0 || r.Query.Encode() != want.Encode() {
		t.Errorf("%s %v %s", r.Method, r.Query, r.Body)
	}
	r = got()[1]
	if string(r.Body) != "To=%2B491&Body=dead_letter+%26+o-7" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("%s %v", r.Body, r.Header)
	}
}

func TestWhoHasTheMessageDoesNotGetItAgain(t *testing.T) {
	var bad atomic.Bool
	bad.Store(true)
	var to []string
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		number := r.URL.Query().Get("to")
		status := http.StatusOK
		if number == "+2" && bad.Load() {
			status = http.StatusBadGateway
		}
		to = append(to, number)
		return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
	})}
	c, err := sms.New("https://api.example", []string{"+1", "+2", "+3"}, sms.Config{Query: map[string]string{"to": "{{.To}}"}, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), alerttest.Sample()); err == nil {
		t.Error("one of three failed and Send returned nil")
	}
	bad.Store(false)
	if err := c.Send(t.Context(), alerttest.Sample()); err != nil {
		t.Error(err)
	}
	other := alerttest.Sample()
	other.Fingerprint = "other"
	if err := c.Send(t.Context(), other); err != nil {
		t.Error(err)
	}
	if got := strings.Join(to, " "); got != "+1 +2 +3 +2 +1 +2 +3" {
		t.Error(got)
	}
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	to := []string{"+491"}
	for _, c := range []struct {
		url    string
		to     []string
		cfg    sms.Config
		fields []string
	}{
		{"http://api.example", to, sms.Config{}, []string{"url: it comes with a secret"}},
		{"https://api.example", nil, sms.Config{}, []string{"to: there is no recipient"}},
		{"https://api.example", []string{"+1", "you", "+"}, sms.Config{}, []string{"to[1]", "to[2]"}},
		{"https://api.example", to, sms.Config{Body: "{{.To"}, []string{"Config.Body: the template does not parse in line 1"}},
		{"https://api.example", to, sms.Config{Body: "key=" + apiKey + "\n{{.Txet}}"}, []string{"Config.Body: unknown field in line 2: .Txet: known are To and Text"}},
		{"https://api.example", to, sms.Config{Body: apiKey + "{{" + apiKey}, []string{"Config.Body"}},
		{"https://api.example", to, sms.Config{Query: map[string]string{"key": "{{.Key}}"}}, []string{"Config.Query[key]: unknown field"}},
		{"https://api.example", to, sms.Config{Method: "DELETE", Limit: 5, Template: "{{.Kye}}", Timeout: -1}, []string{"Config.Method", "Config.Limit", "Config.Template", "Config.Timeout"}},
		{"https://api.example", to, sms.Config{Header: http.Header{"A": {bearer + "\x00"}}}, []string{"Config.Header"}},
	} {
		_, err := sms.New(c.url, c.to, c.cfg)
		alerttest.Refuses(t, err, []string{bearer, apiKey}, c.fields...)
	}
}

func Example() {
	channel, err := sms.New("https://api.example.com/messages", []string{"+4915112345678"}, sms.Config{
		Header: http.Header{"Authorization": {"Bearer 0123456789"}},
		Body:   `{"recipient": {{json .To}}, "content": {{json .Text}}}`,
		Accept: `"status":"queued"`,
	})
	fmt.Println(channel, err)
	// Output:
	// sms channel at api.example.com <nil>
}
