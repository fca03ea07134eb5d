package alert_test

import (
	"testing"

	"github.com/sluicegate/sluicegate/alert"
)

func TestTheFingerprintIsWhatIsStable(t *testing.T) {
	base := alert.Alert{Name: "n", Handler: "h", Topic: "t", Labels: map[string]string{"a": "1", "b": "2"}}
	same := base
	same.Key, same.Reason, same.Count, same.Summary, same.Severity = "k", "r", 7, "s", alert.Critical
	same.Labels = map[string]string{"b": "2", "a": "1"}
	if base.Fingerprint() != same.Fingerprint() {
		t.Fatal("key, reason, count and the order of labels must not matter")
	}
	for name, change := range map[string]func(*alert.Alert){
		"name":    func(a *alert.Alert) { a.Name = "x" },
		"handler": func(a *alert.Alert) { a.Handler = "x" },
		"topic":   func(a *alert.Alert) { a.Topic = "x" },
		"label":   func(a *alert.Alert) { a.Labels = map[string]string{"a": "1", "b": "3"} },
		"moved":   func(a *alert.Alert) { a.Handler, a.Topic = "", "ht" },
		"joined":  func(a *alert.Alert) { a.Labels = map[string]string{"a": `1""b"="2`} },
	} {
		other := base
		change(&other)
		if other.Fingerprint() == base.Fingerprint() {
			t.Errorf("%s must matter", name)
		}
	}
}
