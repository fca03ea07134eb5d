package webhook_test

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
	"github.com/sluicegate/sluicegate/alert/webhook"
)

var (
	rawKey = []byte("canary-key-of-24-bytes-!")
	secret = "whsec_" + base64.StdEncoding.EncodeToString(rawKey)
)

const path, bearer, password = "canary0path0of0the0hook", "canary0bearer0token", "canary0pass0word"

type payload struct {
	Version, GroupKey, Status, Receiver, ExternalURL string
	TruncatedAlerts                                  int
	Alerts                                           []struct {
		Status              string
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
		GeneratorURL        string
		Fingerprint         string
	}
}

func text(_ *http.Request, body []byte) (string, error) {
	var p payload
	if len(body) > 128<<10 {
		return "", fmt.Errorf("the request has %d bytes", len(body))
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return "", err
	}
	if p.Version != "4" || len(p.Alerts) == 0 {
		return "", fmt.Errorf("not version 4: %s", body)
	}
	var b strings.Builder
	for _, a := range p.Alerts {
		fmt.Fprintln(&b, a.Status, a.Annotations["description"])
		fmt.Fprintln(&b, a.Labels["alertname"], a.Labels["handler"], a.Annotations["count"])
	}
	return b.String(), nil
}

func TestConformance(t *testing.T) {
	service := alerttest.HTTP{
		New: func(base string, client *http.Client) (alert.Sender, error) {
			base = strings.Replace(base, "http://", "http://user:"+password+"@", 1)
			return webhook.New(base+"/"+path, webhook.Config{
				Secret: secret, Client: client, Header: http.Header{"X-Api-Key": {bearer}},
			})
		},
		Answers: map[alerttest.Fault]alerttest.Answer{
			alerttest.Healthy: {Status: 204},
			alerttest.Busy:    {Status: 500, Body: alerttest.Echo},
			alerttest.Limited: {Status: 503, Header: map[string]string{"Retry-After": "120"}, Body: alerttest.Echo},
			alerttest.Broken:  {Status: 401, Body: alerttest.Echo},
			alerttest.Refused: {Status: 422, Body: alerttest.Echo},
		},
		Text: text,
	}
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + password))
	alerttest.Run(t, alerttest.Harness{
		Open: service.Open, Secrets: []string{path, bearer, password, basic, secret, string(rawKey)}, MaxText: 8 << 10,
		Lacks: []alerttest.Fault{alerttest.Garbage, alerttest.Endless}, // any 2xx is an acceptance
	})
}

func TestTheRequestIsAlertmanagersAndSignedByStandardWebhooks(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Status: 202})
	second := []byte("another-key-of-24-bytes!")
	c, err := webhook.New(base, webhook.Config{
		Secret:   secret + " whsec_" + base64.StdEncoding.EncodeToString(second),
		Receiver: "ops", ExternalURL: "https://shop.example",
		Now: func() time.Time { return time.Unix(1767225600, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Labels = map[string]string{"data-center": "b"}
	n.Samples[1].Reason = "a < b & c\nd"
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	alerttest.Golden(t, "firing.json", r.Body)
	id, timestamp := r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp")
	if timestamp != "1767225600" || !strings.HasPrefix(id, "msg_") {
		t.Errorf("%s at %s", id, timestamp)
	}
	var want []string
	for _, key := range [][]byte{rawKey, second} {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, r.Body)
		want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if sign := r.Header.Get("webhook-signature"); sign != strings.Join(want, " ") {
		t.Errorf("signature %s, want %s", sign, want)
	}
	alerttest.Golden(t, "headers.txt", fmt.Appendf(nil, "webhook-id: %s\nwebhook-signature: %s", id, r.Header.Get("webhook-signature")))

	n.Status = alert.Resolved
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	alerttest.Golden(t, "resolved.json", got()[1].Body)
	n = alert.Notification{
		Status: alert.Firing, Name: alert.DigestName, Severity: alert.Critical, Count: 9, Fingerprint: "d1", Omitted: 3,
		First: n.First, Last: n.Last, At: n.At,
		Digest: []alert.Digest{
			{Status: alert.Firing, Name: "a", Severity: alert.Critical, Handler: "h", Topic: "t", Count: 7},
			{Status: alert.Resolved, Name: "b", Severity: alert.Info, Handler: "h", Count: 2},
		},
	}
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	alerttest.Golden(t, "digest.json", got()[2].Body)
}

func TestTheSameNotificationHasTheSameIDAndAnotherHasAnother(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{})
	c, err := webhook.New(base, webhook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	first, later, resolved := alerttest.Sample(), alerttest.Sample(), alerttest.Sample()
	later.At = later.At.Add(time.Hour)
	resolved.Status = alert.Resolved
	for _, n := range []alert.Notification{first, first, later, resolved} {
		if err := c.Send(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]int{}
	for _, r := range got() {
		ids[r.Header.Get("webhook-id")]++
		if r.Header.Get("webhook-signature") != "" {
			t.Error("signed without a secret")
		}
	}
	if len(ids) != 3 || ids[got()[0].Header.Get("webhook-id")] != 2 {
		t.Error(ids)
	}
}

func TestAnAnswerThatBreaksOffAfterItsStatusIsAnAcceptance(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{Status: 200, Header: map[string]string{"Content-Length": "100"}, Body: "x"})
	c, err := webhook.New(base, webhook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), alerttest.Sample()); err != nil || len(got()) != 1 {
		t.Errorf("%d requests, %v", len(got()), err)
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	short := base64.StdEncoding.EncodeToString([]byte("short-canary"))
	for _, c := range []struct {
		url    string
		cfg    webhook.Config
		fields []string
	}{
		{"mailto://" + password + "@x", webhook.Config{}, []string{"url: its scheme"}},
		{"http://u:" + password + "@hook.example", webhook.Config{}, []string{"url: it comes with a secret"}},
		{"http://hook.example", webhook.Config{Header: http.Header{"X": {bearer}}}, []string{"url: it comes with a secret"}},
		{"http://hook.example", webhook.Config{Secret: short}, []string{"Config.Secret: number 1 does not begin with whsec_"}},
		{"http://hook.example", webhook.Config{Secret: secret + " whsec_" + short}, []string{"Config.Secret: number 2 has 12 bytes"}},
		{"http://hook.example", webhook.Config{Secret: "whsec_" + bearer + "!"}, []string{"Config.Secret: what follows whsec_ in number 1 is not base64"}},
		{"http://hook.example", webhook.Config{Secret: " "}, []string{"Config.Secret"}},
		{"https://hook.example", webhook.Config{Header: http.Header{"bad name": {"x"}}}, []string{"Config.Header"}},
		{"https://hook.example", webhook.Config{Header: http.Header{"X-A": {bearer + "\n"}}, Template: "{{.X}}", Timeout: -1}, []string{"Config.Header: the value of X-A", "Config.Template", "Config.Timeout"}},
	} {
		_, err := webhook.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{password, bearer, short, secret}, c.fields...)
	}
}

func Example() {
	channel, err := webhook.New("https://ops.example/alerts", webhook.Config{
		Secret: "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	})
	fmt.Println(channel, err)
	_, err = webhook.New("https://ops.example/alerts", webhook.Config{Secret: "password"})
	fmt.Println(err)
	// Output:
	// webhook channel at ops.example <nil>
	// configure webhook channel: Config.Secret: number 1 does not begin with whsec_
}
