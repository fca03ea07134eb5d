package promalert_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/internal/promalert"
)

func TestNamesOfLabelsAreThoseThatPrometheusKnows(t *testing.T) {
	for in, want := range map[string]string{"": "_", "a": "a", "a-b.c": "a_b_c", "9": "_9", "é": "_", "a:b": "a_b", "_x": "_x"} {
		if got := promalert.Name(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestTheLabelsOfTheAlertItselfWin(t *testing.T) {
	n := alert.Notification{Name: "n", Severity: alert.Info, Labels: map[string]string{"alertname": "forged", "severity": "critical", "x": ""}}
	a := promalert.List(n, "")[0]
	if a.Labels["alertname"] != "n" || a.Labels["severity"] != "info" || len(a.Labels) != 2 {
		t.Errorf("%v", a.Labels)
	}
}

func TestWhatIsResolvedHasAnEndAndWhatFiresHasNone(t *testing.T) {
	for _, n := range []alert.Notification{{}, {At: time.Unix(5, 0)}, {Last: time.Unix(5, 0)}} {
		n.Status = alert.Resolved
		if a := promalert.List(n, "")[0]; a.Status() != alert.Resolved || a.EndsAt.IsZero() {
			t.Errorf("%+v", a)
		}
		n.Status = alert.Firing
		if a := promalert.List(n, "")[0]; a.Status() != alert.Firing || !a.EndsAt.IsZero() {
			t.Errorf("%+v", a)
		}
	}
}

func TestTheFingerprintIsOfTheLabelsOnly(t *testing.T) {
	n := alert.Notification{Name: "n", Handler: "h", Count: 1}
	first := promalert.List(n, "one")[0].Fingerprint()
	n.Count, n.Summary = 7, "other"
	if promalert.List(n, "two")[0].Fingerprint() != first || len(first) != 16 || strings.Trim(first, "0123456789abcdef") != "" {
		t.Error(first)
	}
	n.Handler = "other"
	if promalert.List(n, "one")[0].Fingerprint() == first {
		t.Error("another handler is the same alert")
	}
}
