package header_test

import (
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/header"
)

func TestAMessageIsOverFromItsTimeOnAndOneWithoutAReadableTimeNever(t *testing.T) {
	at := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.FixedZone("east", 3600))
	md := map[string]string{header.ExpiresAt: header.FormatTime(at)}
	if got, err := header.Expiry(md); err != nil || !got.Equal(at) {
		t.Errorf("%v came back as %v, %v", at, got, err)
	}
	for name, c := range map[string]struct {
		md   map[string]string
		now  time.Time
		want bool
	}{
		"before":     {md, at.Add(-1), false},
		"at":         {md, at, true},
		"after":      {md, at.Add(1), true},
		"none":       {map[string]string{}, at, false},
		"nil":        {nil, at, false},
		"unreadable": {map[string]string{header.ExpiresAt: "yesterday"}, at, false},
	} {
		if got := header.Expired(c.md, c.now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := header.Expiry(map[string]string{header.ExpiresAt: "secret"}); err != header.ErrExpiry { //nolint:errorlint // as it is
		t.Errorf("error %v", err)
	}
}

func TestTheExpiryOfAMessageSurvivesTheBroker(t *testing.T) {
	md := map[string]string{header.ExpiresAt: "x", header.Topic: "forged"}
	header.Strip(md)
	if len(md) != 1 || md[header.ExpiresAt] != "x" {
		t.Errorf("%v", md)
	}
}
