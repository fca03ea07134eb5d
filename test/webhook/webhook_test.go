package webhook_test

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/sluicegate/sluicegate/internal/webhook"
)

var bodies = map[string][]byte{"empty": {}, "JSON": []byte(`{"paid":true}`), "bytes": {0, 0xff, '\r', '\n', '.'}}

func theirs(t *testing.T, secret string) *standardwebhooks.Webhook {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheirLibraryVerifiesWhatWeSign(t *testing.T) {
	first, second, other := webhook.NewSecret(), webhook.NewSecret(), webhook.NewSecret()
	private, _ := webhook.NewKeyPair()
	signer, err := webhook.NewSigner(private, first, second) // they look for theirs among the signatures
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range bodies {
		h, err := signer.Header("msg_1", time.Now(), body)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{first, second} {
			if err := theirs(t, secret).Verify(body, h); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if theirs(t, other).Verify(body, h) == nil || theirs(t, first).Verify(append(body, ' '), h) == nil {
			t.Errorf("%s: what nobody signed verifies", name)
		}
	}
}

func TestWeVerifyWhatTheirLibrarySigns(t *testing.T) {
	secret, now := webhook.NewSecret(), time.Now()
	_, public := webhook.NewKeyPair()
	for name, body := range bodies {
		signature, err := theirs(t, secret).Sign("msg_1", now, body)
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set(standardwebhooks.HeaderWebhookID, "msg_1")
		h.Set(standardwebhooks.HeaderWebhookSignature, signature)
		h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
		v, err := webhook.NewVerifier(0, public, webhook.NewSecret(), secret)
		if err != nil {
			t.Fatal(err)
		}
		if id, at, err := v.Verify(h, body, now); err != nil || id != "msg_1" || at.Unix() != now.Unix() {
			t.Errorf("%s: %q at %s, %v", name, id, at, err)
		}
		if _, _, err := v.Verify(h, append(body, ' '), now); !errors.Is(err, webhook.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
