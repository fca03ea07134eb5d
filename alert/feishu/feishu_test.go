package feishu_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/feishu"
	"github.com/sluicegate/sluicegate/alert/template"
)

const (
	token  = "canary00-token-of-the-bot"
	secret = "canary0secret0of0the0bot"
)

func open(base string, cfg feishu.Config) (*feishu.Channel, error) {
	return feishu.New(base+"/open-apis/bot/v2/hook/"+token, cfg)
}

type message struct {
	Timestamp string
	Sign      string
	Type      string `json:"msg_type"`
	Content   struct{ Text string }
}

func TestConformance(t *testing.T) {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			return open(base, feishu.Config{Secret: secret, AtAll: true, Client: client})
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Body: `{"code":0,"msg":"success","data":{}}`},
			alerttest.Busy:    {Status: 502, Body: `bad gateway ` + alerttest.Echo},
			alerttest.Limited: {Body: `{"code":11232,"msg":"frequency limited ` + alerttest.Echo + `"}`},
			alerttest.Broken:  {Body: `{"code":19021,"msg":"sign match fail ` + alerttest.Echo + `"}`},
			alerttest.Refused: {Status: 400, Body: `{"code":9499,"msg":"Bad Request ` + alerttest.Echo + `"}`},
		},
		Text: func(_ *http.Request, body []byte) (string, error) {
			var m message
			if len(body) > 20_000 {
				return "", fmt.Errorf("the request has %d bytes", len(body))
			}
			err := json.Unmarshal(body, &m)
			return m.Content.Text, err
		},
	}
	alerttest.Run(t, alerttest.Harness{Open: service.Open, Secrets: []string{token, secret}, MaxText: 18_000, Size: template.JSON})
}

func TestTheSignatureIsThatOfFeishu(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: `{"code":0}`})
	c, err := open(base, feishu.Config{Secret: "golden", AtAll: true, Now: func() time.Time { return time.Unix(1767225600, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Severity = alert.Critical
	n.Samples[1].Reason = `<at user_id="all">x</at>`
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	var m message
	if err := json.Unmarshal(r.Body, &m); err != nil {
		t.Fatal(err)
	}
	// Computed once more, from the documentation; and pinned.
	mac := hmac.New(sha256.New, []byte("1767225600\ngolden"))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); m.Sign != want || m.Timestamp != "1767225600" {
		t.Errorf("sign %s at %s, want %s", m.Sign, m.Timestamp, want)
	}
	if strings.Count(m.Content.Text, "<at ") != 1 {
		t.Errorf("an error text mentions people: %s", m.Content.Text)
	}
	if r.Path != "/open-apis/bot/v2/hook/"+token || len(r.Query) != 0 {
		t.Errorf("%s %v", r.Path, r.Query)
	}
	alerttest.Golden(t, "body.json", r.Body)
}

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: `{"code":0}`})
	c, err := open(base, feishu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), alerttest.Sample()); err != nil {
		t.Fatal(err)
	}
	if body := string(got()[0].Body); strings.Contains(body, `"sign"`) || strings.Contains(body, `"timestamp"`) {
		t.Error(body)
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url    string
		cfg    feishu.Config
		fields []string
	}{
		{"https://open.feishu.cn", feishu.Config{}, []string{"url: its path does not end in a token"}},
		{"https://open.feishu.cn/open-apis/bot/v2/hook/", feishu.Config{}, []string{"url: its path does not end in a token"}},
		{"http://open.feishu.cn/hook/" + token, feishu.Config{}, []string{"url: it comes with a secret"}},
		{"https://x/" + token, feishu.Config{Secret: "se cret", Template: "{{.x}}", Timeout: -1}, []string{"Config.Secret", "Config.Template", "Config.Timeout"}},
	} {
		_, err := feishu.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{token, "se cret"}, c.fields...)
	}
}

func Example() {
	channel, err := feishu.New("https://open.feishu.cn/open-apis/bot/v2/hook/01234567-89ab", feishu.Config{Secret: "0123456789"})
	fmt.Println(channel, err)
	// Output:
	// feishu channel at open.feishu.cn <nil>
}
