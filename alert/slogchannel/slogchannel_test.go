package slogchannel_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/slogchannel"
)

var _ alert.Channel = (*slogchannel.Channel)(nil)

func TestTheSeverityIsTheLevelAndTheNameStandsInForTheSummary(t *testing.T) {
	for severity, level := range map[alert.Severity]string{alert.Critical: "ERROR", alert.Warning: "WARN", "": "WARN", alert.Info: "INFO"} {
		var out bytes.Buffer
		c, err := slogchannel.New(slog.New(slog.NewTextHandler(&out, nil)), slogchannel.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Send(t.Context(), alert.Alert{Name: "dead", Severity: severity}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "level="+level+" msg=dead") {
			t.Errorf("%q: %s", severity, out.String())
		}
	}
}

func TestANilLoggerIsRefused(t *testing.T) {
	if _, err := slogchannel.New(nil, slogchannel.Config{}); err == nil {
		t.Fatal("alerts that nobody sees would count as sent")
	}
}
