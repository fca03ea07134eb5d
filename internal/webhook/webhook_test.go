package webhook_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/webhook"
)

var (
	at     = time.Unix(1614265330, 0)
	body   = []byte(`{"test": 2432232314}`)
	secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // of the specification's own example
)

func signer(t *testing.T, secrets ...string) *webhook.Signer {
	t.Helper()
	s, err := webhook.NewSigner(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifier(t *testing.T, keys ...string) *webhook.Verifier {
	t.Helper()
	v, err := webhook.NewVerifier(0, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func header(t *testing.T, s *webhook.Signer) http.Header {
	t.Helper()
	h, err := s.Header("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTheSignatureIsThatOfTheSpecificationsExample(t *testing.T) {
	got, err := signer(t, secret).Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("%s, want %s: %v", got, want, err)
	}
}

func TestWhileAKeyIsReplacedEitherSideMayBeFirst(t *testing.T) {
	next := webhook.NewSecret()
	private, public := webhook.NewKeyPair()
	for name, c := range map[string]struct{ signs, verifies []string }{
		"same":          {[]string{secret}, []string{secret}},
		"both sign":     {[]string{secret, next}, []string{next}},
		"both verify":   {[]string{next}, []string{secret, next}},
		"ed25519":       {[]string{private}, []string{public}},
		"to ed25519":    {[]string{secret, private}, []string{public}},
		"still secrets": {[]string{secret, private}, []string{secret}},
	} {
		h := header(t, signer(t, c.signs...))
		id, when, err := verifier(t, c.verifies...).Verify(h, body, at)
		if err != nil || id != "msg_p5jXN8AQM9LWM0D4loKWxJek" || !when.Equal(at) {
			t.Errorf("%s: %q at %s: %v", name, id, when, err)
		}
	}
}

func TestWhatWasNotSignedIsRefused(t *testing.T) {
	private, public := webhook.NewKeyPair()
	_, otherPublic := webhook.NewKeyPair()
	for name, c := range map[string]struct {
		sign, verify string
		change       func(h http.Header, body []byte) []byte
	}{
		"another secret":   {secret, webhook.NewSecret(), nil},
		"another key":      {private, otherPublic, nil},
		"another kind":     {private, secret, nil},
		"a flipped bit":    {secret, secret, func(_ http.Header, b []byte) []byte { b[3] ^= 1; return b }},
		"a flipped bit, a": {private, public, func(_ http.Header, b []byte) []byte { b[3] ^= 1; return b }},
		"a longer body":    {secret, secret, func(_ http.Header, b []byte) []byte { return append(b, ' ') }},
		"another id":       {secret, secret, func(h http.Header, b []byte) []byte { h.Set(webhook.HeaderID, "msg_2"); return b }},
		"another time": {secret, secret, func(h http.Header, b []byte) []byte {
			h.Set(webhook.HeaderTimestamp, strconv.FormatInt(at.Unix()+1, 10))
			return b
		}},
		"a cut signature": {secret, secret, func(h http.Header, b []byte) []byte {
			h.Set(webhook.HeaderSignature, "v1,"+base64.StdEncoding.EncodeToString([]byte("short")))
			return b
		}},
		"the version of the other": {secret, secret, func(h http.Header, b []byte) []byte {
			h.Set(webhook.HeaderSignature, strings.Replace(h.Get(webhook.HeaderSignature), "v1,", "v1a,", 1))
			return b
		}},
		"a version to come": {secret, secret, func(h http.Header, b []byte) []byte {
			h.Set(webhook.HeaderSignature, "v9,!")
			return b
		}},
	} {
		h, b := header(t, signer(t, c.sign)), append([]byte(nil), body...)
		if c.change != nil {
			b = c.change(h, b)
		}
		if id, _, err := verifier(t, c.verify).Verify(h, b, at); !errors.Is(err, webhook.ErrSignature) || id != "" {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
}

func TestARequestIsGoodForItsWindowOnly(t *testing.T) {
	h := header(t, signer(t, secret))
	for away, want := range map[time.Duration]error{
		0: nil, 5 * time.Minute: nil, -5 * time.Minute: nil,
		5*time.Minute + time.Second: webhook.ErrExpired, -5*time.Minute - time.Second: webhook.ErrExpired, 24 * time.Hour: webhook.ErrExpired,
	} {
		if _, _, err := verifier(t, secret).Verify(h, body, at.Add(away)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", away, err, want)
		}
	}
}

func TestHeadersThatAreNotWhatTheyMustBe(t *testing.T) {
	good := header(t, signer(t, secret))
	many := strings.Repeat("v1,"+base64.StdEncoding.EncodeToString(make([]byte, 32))+" ", 33)
	for _, c := range []struct {
		name   string
		values []string
		want   error
	}{
		{webhook.HeaderID, nil, webhook.ErrMissing},
		{webhook.HeaderTimestamp, nil, webhook.ErrMissing},
		{webhook.HeaderSignature, nil, webhook.ErrMissing},
		{webhook.HeaderID, []string{""}, webhook.ErrMissing},
		{webhook.HeaderID, []string{"a", "b"}, webhook.ErrMalformed},
		{webhook.HeaderID, []string{"a.1614265330"}, webhook.ErrMalformed},
		{webhook.HeaderID, []string{strings.Repeat("a", 256)}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"1614265330", "1614265330"}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"+1614265330"}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"01614265330"}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"1614265330.5"}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"-1"}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"9223372036854775807"}, webhook.ErrMalformed},
		{webhook.HeaderTimestamp, []string{"now"}, webhook.ErrMalformed},
		{webhook.HeaderSignature, []string{"v1"}, webhook.ErrMalformed},
		{webhook.HeaderSignature, []string{"v1,?"}, webhook.ErrMalformed},
		{webhook.HeaderSignature, []string{many}, webhook.ErrMalformed},
	} {
		h := maps.Clone(good)
		h[c.name] = c.values
		if _, _, err := verifier(t, secret).Verify(h, body, at); !errors.Is(err, c.want) {
			t.Errorf("%s %.40q: %v, want %v", c.name, c.values, err, c.want)
		}
	}
}

func TestKeysThatCannotBeUsedAreRefusedByNumberAndNotShown(t *testing.T) {
	private, public := webhook.NewKeyPair()
	short := base64.StdEncoding.EncodeToString([]byte("canary of 23 bytes, yes"))
	half := make([]byte, 64)
	for _, c := range []struct {
		secrets []string
		want    string
	}{
		{nil, "a key is needed"},
		{[]string{short}, "number 1 does not begin with whsec_ or whsk_"},
		{[]string{secret, "whsec_" + short}, "number 2 has 23 bytes; it must have 24 to 64"},
		{[]string{"whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65))}, "number 1 has 65 bytes"},
		{[]string{"whsec_" + short + "!"}, "what follows whsec_ in number 1 is not base64"},
		{[]string{"whsk_" + short}, "number 1 has 23 bytes; a private key has 32 or 64"},
		{[]string{"whsk_" + base64.StdEncoding.EncodeToString(half)}, "public half"},
		{[]string{public}, "cannot sign"},
		{[]string{"x", "y"}, "number 2"},
	} {
		_, err := webhook.NewSigner(c.secrets...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), short) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	for _, key := range []string{private, "whpk_" + short} {
		if _, err := webhook.NewVerifier(0, key); err == nil || strings.Contains(err.Error(), short) {
			t.Error(err)
		}
	}
	if _, err := webhook.NewVerifier(-1, secret); err == nil || !strings.Contains(err.Error(), "tolerance") {
		t.Error(err)
	}
	if p, err := webhook.PublicKey(private); err != nil || p != public {
		t.Error(p, err)
	}
}

func TestNothingShowsAKey(t *testing.T) {
	s, v := signer(t, secret), verifier(t, secret)
	raw := fmt.Sprintf("%v", []byte("1ò\x90")) // how bytes would look
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format+format, s, v); strings.Contains(got, raw) || !strings.Contains(got, "with 1 keys") {
			t.Error(got)
		}
	}
	if got := webhook.Mask(secret); strings.Contains(got, secret[6:12]) || !strings.HasPrefix(got, "whsec_…") {
		t.Error(got)
	}
	if webhook.Mask(secret) == webhook.Mask(webhook.NewSecret()) || webhook.Mask("password") != "…" {
		t.Error("masks do not tell keys apart, or show what is no key")
	}
}

func TestAnIDThatCannotBeSignedIsRefused(t *testing.T) {
	for _, id := range []string{"", "a.b", "a b", "é", "a\r\nX: y", strings.Repeat("a", 256)} {
		if _, err := signer(t, secret).Sign(id, at, body); !errors.Is(err, webhook.ErrID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func FuzzVerifyNeverAcceptsNorPanics(f *testing.F) {
	f.Add("msg_1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte("{}"))
	v, err := webhook.NewVerifier(0, webhook.NewSecret())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{webhook.HeaderID: {id}, webhook.HeaderTimestamp: {timestamp}, webhook.HeaderSignature: {signature}}
		if _, _, err := v.Verify(h, body, at); err == nil {
			t.Error("accepted what nobody signed")
		}
	})
}

func Example() {
	old, next := "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", webhook.NewSecret()
	signer, err := webhook.NewSigner(next, old) // both, until the receiver has the new one
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Now()
	header, err := signer.Header("order-1", now, []byte("paid"))
	if err != nil {
		fmt.Println(err)
		return
	}
	verifier, err := webhook.NewVerifier(5*time.Minute, old)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, _, err := verifier.Verify(header, []byte("paid"), now.Add(time.Minute))
	fmt.Println(id, err)
	_, _, err = verifier.Verify(header, []byte("paid twice"), now)
	fmt.Println(err)
	// Output:
	// order-1 <nil>
	// signature of the request is wrong
}
