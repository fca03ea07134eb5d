package wecom_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/wecom"
)

const key = "canary00-key0-of00-the0-robot0000"

func open(base string, cfg wecom.Config) (*wecom.Channel, error) {
	return wecom.New(base+"/cgi-bin/webhook/send?key="+key, cfg)
}

type content struct {
	Content string   `json:"content"`
	Users   []string `json:"mentioned_list"`
	Mobiles []string `json:"mentioned_mobile_list"`
}

type message struct {
	Type     string  `json:"msgtype"`
	Markdown content `json:"markdown"`
	Text     content `json:"text"`
}

func harness(limit int, change func(*wecom.Config)) alerttest.Harness {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			cfg := wecom.Config{Client: client}
			change(&cfg)
			return open(base, cfg)
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Body: `{"errcode":0,"errmsg":"ok"}`},
			alerttest.Busy:    {Body: `{"errcode":-1,"errmsg":"system busy ` + alerttest.Echo + `"}`},
			alerttest.Limited: {Body: `{"errcode":45009,"errmsg":"api freq out of limit ` + alerttest.Echo + `"}`},
			alerttest.Broken:  {Body: `{"errcode":93000,"errmsg":"invalid webhook url ` + alerttest.Echo + `"}`},
			alerttest.Refused: {Body: `{"errcode":40058,"errmsg":"markdown.content exceed max length ` + alerttest.Echo + `"}`},
		},
		Text: func(_ *http.Request, body []byte) (string, error) {
			var m message
			err := json.Unmarshal(body, &m)
			return m.Markdown.Content + m.Text.Content, err
		},
	}
	return alerttest.Harness{Open: service.Open, Secrets: []string{key}, MaxText: limit}
}

func TestConformance(t *testing.T) { alerttest.Run(t, harness(4096, func(*wecom.Config) {})) }

func TestMessagesThatMentionAreTextWithinItsSmallerLimit(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: `{"errcode":0}`})
	c, err := open(base, wecom.Config{Mention: []string{"zhang", "@all"}, MentionMobiles: []string{"13800000000"}})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Severity = alert.Critical
	for range 5 {
		n.Samples = append(n.Samples, alert.Sample{Key: "键", Reason: string(make([]rune, 3000)), At: n.Last})
	}
	for _, status := range []alert.Status{alert.Firing, alert.Resolved} {
		n.Status = status
		if err := c.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	var m message
	if err := json.Unmarshal(got()[0].Body, &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "text" || len(m.Text.Content) > 2048 || len(m.Text.Users) != 2 || len(m.Text.Mobiles) != 1 {
		t.Errorf("%d bytes: %+v", len(m.Text.Content), m)
	}
	m = message{}
	if err := json.Unmarshal(got()[1].Body, &m); err != nil {
		t.Fatal(err)
	}
	if m.Type != "markdown" {
		t.Errorf("what is resolved mentions: %+v", m)
	}
}

func TestTheRequestIsThatOfWeCom(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Body: `{"errcode":0,"errmsg":"ok"}`})
	c, err := open(base, wecom.Config{Mention: []string{"zhang"}})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Labels = map[string]string{"zone": "b<font color=\"red\">"}
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	n.Severity = alert.Critical
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	if r.Method != http.MethodPost || r.Path != "/cgi-bin/webhook/send" || r.Query.Encode() != "key="+key {
		t.Errorf("%s %s %v", r.Method, r.Path, r.Query)
	}
	alerttest.Golden(t, "markdown.json", r.Body)
	alerttest.Golden(t, "text.json", got()[1].Body)
}

func TestTooFastHoldsForAMinute(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	base, _ := alerttest.Capture(t, alerttest.Answer{Body: `{"errcode":45009}`})
	c, err := open(base, wecom.Config{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	var failed *alert.SendError
	if err := c.Send(t.Context(), alerttest.Sample()); !errors.As(err, &failed) || !failed.Until.Equal(now.Add(time.Minute)) {
		t.Fatal(err)
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url    string
		cfg    wecom.Config
		fields []string
	}{
		{"https://qyapi.weixin.qq.com/cgi-bin/webhook/send", wecom.Config{}, []string{"url: it has no parameter key"}},
		{"qyapi.weixin.qq.com/cgi-bin/webhook/send?key=" + key, wecom.Config{}, []string{"url: the URL has no scheme"}},
		{"https://x/send?key=" + key, wecom.Config{
			Template: "{{.Keys}}", TextTemplate: "{{end}}", Timeout: -1, Mention: []string{" "}, MentionMobiles: []string{"x"},
		}, []string{"Config.Template", "Config.TextTemplate", "Config.Timeout", "Config.Mention[0]", "Config.MentionMobiles[0]"}},
	} {
		_, err := wecom.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{key}, c.fields...)
	}
}

func Example() {
	channel, err := wecom.New("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=01234567-89ab", wecom.Config{
		Mention: []string{"@all"}, // where it is critical
	})
	fmt.Println(channel, err)
	// Output:
	// wecom channel at qyapi.weixin.qq.com <nil>
}
