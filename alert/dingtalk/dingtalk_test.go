package dingtalk_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/dingtalk"
	"github.com/sluicegate/sluicegate/alert/template"
)

const (
	token  = "canary0token0of0the0robot"
	secret = "SECcanary0secret0/+=of0the0robot"
)

func open(base string, cfg dingtalk.Config) (*dingtalk.Channel, error) {
	return dingtalk.New(base+"/robot/send?access_token="+token, cfg)
}

type message struct {
	Type     string                       `json:"msgtype"`
	Markdown struct{ Title, Text string } `json:"markdown"`
	At       struct {
		Mobiles []string `json:"atMobiles"`
		All     bool     `json:"isAtAll"`
	} `json:"at"`
}

func TestConformance(t *testing.T) {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			return open(base, dingtalk.Config{Secret: secret, Client: client})
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Body: `{"errcode":0,"errmsg":"ok"}`},
			alerttest.Busy:    {Body: `{"errcode":-1,"errmsg":"busy ` + alerttest.Echo + `"}`},
			alerttest.Limited: {Body: `{"errcode":130101,"errmsg":"send too fast ` + alerttest.Echo + `"}`},
			alerttest.Broken:  {Body: `{"errcode":310000,"errmsg":"sign not match ` + alerttest.Echo + `"}`},
			alerttest.Refused: {Body: `{"errcode":400105,"errmsg":"unsupported ` + alerttest.Echo + `"}`},
		},
		Text: func(_ *http.Request, body []byte) (string, error) {
			var m message
			err := json.Unmarshal(body, &m)
			return m.Markdown.Title + "\n" + m.Markdown.Text, err
		},
	}
	alerttest.Run(t, alerttest.Harness{
		Open: service.Open, Secrets: []string{token, secret, "canary0secret"}, MaxText: 15_000, Size: template.JSON,
	})
}

func TestTheSignatureIsThatOfDingTalk(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: `{"errcode":0}`})
	c, err := open(base, dingtalk.Config{
		Secret: "SECgolden", AtMobiles: []string{"13800000000", "+86-13900000000"},
		Now: func() time.Time { return time.UnixMilli(1767225600123) },
	})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Severity = alert.Critical
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	if r.Method != http.MethodPost || r.Path != "/robot/send" || r.Query.Get("access_token") != token || r.Query.Get("timestamp") != "1767225600123" {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Query)
	}
	// Computed once more, from the documentation; and pinned.
	mac := hmac.New(sha256.New, []byte("SECgolden"))
	fmt.Fprintf(mac, "%s\n%s", "1767225600123", "SECgolden")
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Query.Get("sign") != want {
		t.Errorf("sign %s, want %s", r.Query.Get("sign"), want)
	}
	alerttest.Golden(t, "query.txt", []byte(url.Values{"sign": r.Query["sign"], "timestamp": r.Query["timestamp"]}.Encode()))
	alerttest.Golden(t, "body.json", r.Body)
	if r.Header.Get("Content-Type") != "application/json" {
		t.Error(r.Header)
	}
}

func TestMentionsAreForCriticalAlertsThatFire(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: `{"errcode":0}`})
	c, err := open(base, dingtalk.Config{AtAll: true, AtMobiles: []string{"13800000000"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false} {
		n := alerttest.Sample()
		n.Severity = []alert.Severity{alert.Warning, alert.Critical, alert.Critical}[i]
		n.Status = []alert.Status{alert.Firing, alert.Firing, alert.Resolved}[i]
		if err := c.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		var m message
		if err := json.Unmarshal(got()[i].Body, &m); err != nil {
			t.Fatal(err)
		}
		if m.At.All != want || (len(m.At.Mobiles) == 1) != want || strings.Contains(m.Markdown.Text, "@13800000000") != want {
			t.Errorf("%d: %+v", i, m)
		}
		if got()[i].Query.Has("sign") {
			t.Error("signed without a secret")
		}
	}
}

func TestTooFastHoldsForTenMinutes(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	base, _ := alerttest.Capture(t, alerttest.Answer{Body: `{"errcode":130101,"errmsg":"send too fast"}`})
	c, err := open(base, dingtalk.Config{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var failed *alert.SendError
	if err := c.Send(t.Context(), alerttest.Sample()); !errors.As(err, &failed) || !failed.Until.Equal(now.Add(10*time.Minute)) {
		t.Fatal(err)
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url    string
		cfg    dingtalk.Config
		fields []string
	}{
		{"", dingtalk.Config{}, []string{"url: the URL is empty"}},
		{"https://oapi.dingtalk.com/robot/send", dingtalk.Config{}, []string{"url: it has no parameter access_token"}},
		{"ftp://oapi.dingtalk.com/robot/send?access_token=" + token, dingtalk.Config{}, []string{"url: its scheme"}},
		{"http://oapi.dingtalk.com/robot/send?access_token=" + token, dingtalk.Config{}, []string{"url: it comes with a secret"}},
		{"https://x/send?access_token=" + token + "%zz", dingtalk.Config{}, []string{"url: its query"}},
		{"https://x/send?access_token=" + token, dingtalk.Config{
			Secret: secret + "\n", Template: "{{.Kye}}", Title: "{{", Timeout: -1, AtMobiles: []string{"1", "me"},
		}, []string{"Config.Secret", "Config.Template: line 1: unknown field .Kye", "Config.Title", "Config.Timeout", "Config.AtMobiles[1]"}},
	} {
		_, err := dingtalk.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{token, secret}, c.fields...)
	}
}

func Example() {
	channel, err := dingtalk.New("https://oapi.dingtalk.com/robot/send?access_token=0123456789abcdef", dingtalk.Config{
		Secret:    "SEC0123456789abcdef",
		AtMobiles: []string{"13800000000"}, // where it is critical
	})
	fmt.Println(channel, err)
	_, err = dingtalk.New("https://oapi.dingtalk.com/robot/send", dingtalk.Config{})
	fmt.Println(err)
	// Output:
	// dingtalk channel at oapi.dingtalk.com <nil>
	// configure dingtalk channel: url: it has no parameter access_token, which is the token
}
