package slogchannel_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/slogchannel"
)

var _ alert.Sender = (*slogchannel.Channel)(nil)

func TestTheSeverityIsTheLevelAndTheNameStandsInForTheSummary(t *testing.T) {
	for severity, level := range map[alert.Severity]string{alert.Critical: "ERROR", alert.Warning: "WARN", "": "WARN", alert.Info: "INFO"} {
		var out bytes.Buffer
		c, err := slogchannel.New(slog.New(slog.NewTextHandler(&out, nil)), slogchannel.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), alert.Notification{Name: "dead", Severity: severity}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "level="+level+" msg=dead") {
			t.Errorf("%q: %s", severity, out.String())
		}
	}
}

func TestWhatIsOverIsNoErrorAnyMoreAndADigestIsSpeltOut(t *testing.T) {
	var out bytes.Buffer
	c, err := slogchannel.New(slog.New(slog.NewTextHandler(&out, nil)), slogchannel.Config{})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Send(t.Context(), alert.Notification{
		Status: alert.Resolved, Name: alert.DigestName, Severity: alert.Critical, Count: 3,
		Samples: []alert.Sample{{Key: "first"}, {Key: "last", Reason: "no stock"}},
		Digest:  []alert.Digest{{Status: alert.Firing, Name: "lag", Severity: alert.Critical, Handler: "shop/stock", Count: 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=INFO msg=alert_digest alert=alert_digest severity=critical status=resolved count=3 key=last reason="no stock"`,
		`level=ERROR msg=lag alert=lag severity=critical count=2 handler=shop/stock`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in\n%s", want, out.String())
		}
	}
}

func TestANilLoggerIsRefused(t *testing.T) {
	if _, err := slogchannel.New(nil, slogchannel.Config{}); err == nil {
		t.Fatal("alerts that nobody sees would count as sent")
	}
}
