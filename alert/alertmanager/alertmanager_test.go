package alertmanager_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alertmanager"
	"github.com/sluicegate/sluicegate/alert/alerttest"
)

const token, password = "canary0bearer0token", "canary0pass0word"

type posted struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
}

func text(r *http.Request, body []byte) (string, error) {
	var list []posted
	if err := json.Unmarshal(body, &list); err != nil {
		return "", err
	}
	if r.URL.Path != "/prefix/api/v2/alerts" || len(list) == 0 || len(body) > 128<<10 {
		return "", fmt.Errorf("%s with %d alerts in %d bytes", r.URL.Path, len(list), len(body))
	}
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintln(&b, a.Labels["alertname"], a.Labels["handler"], a.Annotations["count"], a.Annotations["description"])
	}
	return b.String(), nil
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     alertmanager.Config
		secrets []string
	}{
		"bearer": {alertmanager.Config{Token: token}, []string{token}},
		"basic": {
			alertmanager.Config{Username: "user", Password: password},
			[]string{password, base64.StdEncoding.EncodeToString([]byte("user:" + password))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			service := alerttest.HTTP{
				New: func(base string, client *http.Client) (alert.Sender, error) {
					c.cfg.Client = client
					return alertmanager.New(base+"/prefix/", c.cfg)
				},
				Answers: map[alerttest.Fault]alerttest.Answer{
					alerttest.Busy:    {Status: 503, Body: alerttest.Echo},
					alerttest.Limited: {Status: 429, Body: alerttest.Echo},
					alerttest.Broken:  {Status: 403, Body: alerttest.Echo},
					alerttest.Refused: {Status: 400, Body: alerttest.Echo},
				},
				Text: text,
			}
			alerttest.Run(t, alerttest.Harness{
				Open: service.Open, Secrets: c.secrets, MaxText: 8 << 10,
				Lacks: []alerttest.Fault{alerttest.Garbage, alerttest.Endless}, // any 2xx is an acceptance
			})
		})
	}
}

func TestTheRequestIsThatOfTheAPI(t *testing.T) {
	base, got := alerttest.Capture(t, alerttest.Answer{})
	now := time.Date(2026, 3, 1, 9, 40, 0, 0, time.UTC)
	c, err := alertmanager.New(base, alertmanager.Config{Now: func() time.Time { return now }, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	n := alerttest.Sample()
	n.Labels = map[string]string{"data-center": "b", "9lives": "x", "empty": ""}
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	n.Status = alert.Resolved
	if err := c.Send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	alerttest.Golden(t, "firing.json", got()[0].Body)
	alerttest.Golden(t, "resolved.json", got()[1].Body)
	if got()[0].Header.Get("Authorization") != "Bearer "+token || got()[0].Path != "/api/v2/alerts" {
		t.Error(got()[0])
	}
}

func TestABadConfigurationIsRefusedWithItsFields(t *testing.T) {
	for _, c := range []struct {
		url    string
		cfg    alertmanager.Config
		fields []string
	}{
		{"", alertmanager.Config{}, []string{"url: the URL is empty"}},
		{"http://am:9093", alertmanager.Config{Token: token}, []string{"url: it comes with a secret"}},
		{"https://am", alertmanager.Config{Token: token, Password: password, Template: "{{", MaxActive: -1, Timeout: -1}, []string{"Config.Token", "Config.Template", "Config.MaxActive", "Config.Timeout"}},
		{"https://am", alertmanager.Config{Password: password, Resend: -1, Forget: -1}, []string{"Config.Username", "Config.Resend", "Config.Forget"}},
		{"https://am", alertmanager.Config{Token: token + "\n"}, []string{"Config.Token"}},
		{"http://am:9093", alertmanager.Config{Resend: 3 * time.Minute}, []string{"Config.Resend: 3m0s is more than half"}},
	} {
		_, err := alertmanager.New(c.url, c.cfg)
		alerttest.Refuses(t, err, []string{token, password}, c.fields...)
	}
}

func Example() {
	channel, err := alertmanager.New("http://alertmanager:9093", alertmanager.Config{Resend: 30 * time.Second})
	fmt.Println(channel, err)
	if err != nil {
		return
	}
	// Beside the notifier, for as long as the service lives; here it ends at once.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fmt.Println(channel.Run(ctx))

	// Output:
	// alertmanager channel at alertmanager:9093 <nil>
	// <nil>
}
