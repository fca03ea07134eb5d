package alertchannel_test

import (
	"encoding/base64"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluicegate/sluicegate/alert/alerttest"
	"github.com/sluicegate/sluicegate/alert/webhook"
)

func secret(key string) string { return "whsec_" + base64.StdEncoding.EncodeToString([]byte(key)) }

func TestTheLibraryOfStandardWebhooksVerifiesOurSignature(t *testing.T) {
	first, second, other := secret("a key of more than 24 bytes"), secret("the key that comes after it"), secret("a key that nobody signed with")
	base, got := alerttest.Capture(t, alerttest.Answer{})
	channel, err := webhook.New(base, webhook.Config{Secret: first + " " + second})
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.Send(t.Context(), alerttest.Sample()); err != nil {
		t.Fatal(err)
	}
	r := got()[0]
	verify := func(secret string, body []byte) error {
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		return verifier.Verify(body, r.Header)
	}
	for _, secret := range []string{first, second} {
		if err := verify(secret, r.Body); err != nil {
			t.Error(err)
		}
	}
	if verify(other, r.Body) == nil {
		t.Error("a secret that nobody signed with verifies")
	}
	if verify(first, append(r.Body, ' ')) == nil {
		t.Error("another body verifies")
	}
}
