package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/sluicegate/sluicegate/internal/netguard"
	"github.com/sluicegate/sluicegate/internal/webhook"
)

// Target is a partner.
type Target struct {
	// Name is what notifications are addressed to. Required.
	Name string
	// URL that is POSTed to, http or https. Its query may hold what only the partner
	// may know: printed and logged, a Target shows the host only. Required.
	URL string
	// Secrets sign, all of them: "whsec_" and base64 of 24 to 64 bytes, or "whsk_" and
	// an ed25519 key, up to 4. To replace one, put the new one beside it for as long as
	// the partner needs. What Target returns is masked. Required.
	Secrets []Secret
	// Token is what the partner sends as "Authorization: Bearer …" to the Endpoint, at least 24
	// characters. Its hash is kept. Default: no access by token.
	Token Secret
	// Keys verify requests to the Endpoint that the partner signs: "whsec_…" or
	// "whpk_…", up to 4. They should be none of the Secrets. Default: no access by signature.
	Keys []Secret
	// Rule says which bodies of a 2xx mean success. Default: any.
	Rule Rule
	// Concurrency is how many POSTs may be under way in a process; more than
	// Config.PerTarget has no effect. Default: that.
	Concurrency int
	// Rate is how many POSTs may begin in a second in a process, such as 0.5. Default: any number.
	Rate float64

	// What Target and Targets tell beside; PutTarget does not look at it.

	// Disabled says that what is addressed to it is held.
	Disabled bool
	// Reason is why it was disabled.
	Reason string
	// ThrottledUntil is until when its other notifications wait for one that met a throttle.
	ThrottledUntil       time.Time
	CreatedAt, UpdatedAt time.Time
}

// String shows nothing that is secret.
func (t Target) String() string {
	host := ""
	if u, err := url.Parse(t.URL); err == nil {
		host = u.Host
	}
	return fmt.Sprintf("target %q at %s", t.Name, host)
}

// GoString is String.
func (t Target) GoString() string { return t.String() }

// LogValue is String.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

const (
	minToken   = 24
	maxSecrets = 4
)

func (t Target) validate(g *netguard.Guard) error {
	errs := []error{name("Target.Name", t.Name, true), t.Rule.validate()}
	bad := func(format string, args ...any) { errs = append(errs, invalid("Target."+format, args...)) }
	if err := g.CheckURL(t.URL); err != nil {
		bad("URL: %w", err)
	}
	if len(t.Secrets) > maxSecrets {
		bad("Secrets: %d, use up to %d", len(t.Secrets), maxSecrets)
	}
	if _, err := webhook.NewSigner(plain(t.Secrets)...); err != nil {
		bad("Secrets: %w", err)
	}
	if t.Token != "" && (len(t.Token) < minToken || len(t.Token) > maxName || strings.ContainsFunc(string(t.Token), func(r rune) bool { return r <= ' ' || r > '~' })) {
		bad("Token: use %d to %d visible ASCII characters", minToken, maxName)
	}
	if len(t.Keys) > maxSecrets {
		bad("Keys: %d, use up to %d", len(t.Keys), maxSecrets)
	}
	if len(t.Keys) > 0 {
		if _, err := webhook.NewVerifier(0, plain(t.Keys)...); err != nil {
			bad("Keys: %w", err)
		}
	}
	if t.Concurrency < 0 {
		bad("Concurrency: %d, must not be negative", t.Concurrency)
	}
	if !(t.Rate >= 0) || math.IsInf(t.Rate, 0) || t.Rate > 0 && t.Rate < 1e-4 {
		bad("Rate: %v, use 0.0001 or more, or 0 for any", t.Rate)
	}
	return errors.Join(errs...)
}

// access is who may ask the Endpoint for a target.
type access struct {
	Token string   `json:"token,omitempty"` // its hash
	Keys  []string `json:"keys,omitempty"`
}

type options struct {
	Rule        Rule    `json:"rule,omitzero"`
	Concurrency int     `json:"concurrency,omitempty"`
	Rate        float64 `json:"rate,omitempty"`
}

func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// columns returns the target as it is stored.
func (t Target) columns() (secrets, who, how string, err error) {
	a := access{Keys: plain(t.Keys)}
	if t.Token != "" {
		a.Token = tokenHash(string(t.Token))
	}
	for _, c := range []struct {
		to    *string
		value any
	}{{&secrets, plain(t.Secrets)}, {&who, a}, {&how, options{t.Rule, t.Concurrency, t.Rate}}} {
		raw, err := json.Marshal(c.value)
		if err != nil {
			return "", "", "", fmt.Errorf("encode target: %w", err)
		}
		*c.to = string(raw)
	}
	return secrets, who, how, nil
}

// stored is a target as a row has it.
type stored struct {
	url            string
	secrets        []string
	options        options
	disabled       bool
	throttledUntil time.Time
}

func decode(secrets, how string) (list []string, o options, err error) {
	if err := errors.Join(json.Unmarshal([]byte(secrets), &list), json.Unmarshal([]byte(how), &o)); err != nil {
		return nil, options{}, errors.New("target cannot be read") // the reason could show a secret
	}
	return list, o, nil
}
