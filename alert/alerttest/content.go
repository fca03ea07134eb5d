package alerttest

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/alert"
)

// Sample returns a notification that has everything, short enough for all.
func Sample() alert.Notification {
	at := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	return alert.Notification{
		Status: alert.Firing, Name: "dead_letter", Severity: alert.Warning, Handler: "stock", Topic: "orders",
		Summary: "A message was set aside.", Count: 42, New: 42, First: at, Last: at.Add(time.Minute), At: at.Add(time.Minute),
		Samples: []alert.Sample{
			{Key: "o-1", Reason: "no row", At: at},
			{Key: "o-7", Reason: "locked", At: at.Add(time.Minute)},
		},
		Link: "https://x.example/7", Fingerprint: "0123456789abcdef",
	}
}

// receive sends n and returns the text that arrived.
func receive(t T, s Service, n alert.Notification) string {
	t.Helper()
	before := len(s.Received())
	if err := s.Sender.Send(t.Context(), n); err != nil {
		t.Fatalf("Send: %v", err)
	}
	texts := s.Received()
	if len(texts) != before+1 {
		t.Fatalf("Send returned nil and %d messages arrived", len(texts)-before)
	}
	return texts[before]
}

func arrives(t T, h Harness) {
	got := receive(t, h.Open(t), Sample())
	for _, want := range []string{"dead_letter", "warning", "stock", "orders", "o-7", "locked", "42", "https://x.example/7"} {
		if !strings.Contains(got, want) {
			t.Errorf("the text does not name %q:\n%s", want, got)
		}
	}
	if !h.Brief && !strings.Contains(got, "A message was set aside.") {
		t.Errorf("the text has no summary:\n%s", got)
	}
}

func resolved(t T, h Harness) {
	s := h.Open(t)
	n := Sample()
	n.Status, n.Samples = alert.Resolved, nil
	if got := receive(t, s, n); !strings.Contains(strings.ToLower(got), "resolved") {
		t.Errorf("nothing says that it is resolved:\n%s", got)
	}
	if got := receive(t, s, Sample()); strings.Contains(strings.ToLower(got), "resolved") {
		t.Errorf("it fires, and the text says resolved:\n%s", got)
	}
}

func digest(t T, h Harness) {
	s := h.Open(t)
	n := alert.Notification{
		Status: alert.Firing, Name: alert.DigestName, Severity: alert.Critical, Count: 77, Fingerprint: "d", Omitted: 3,
		First: Sample().First, Last: Sample().Last, At: Sample().At,
		Digest: []alert.Digest{
			{Status: alert.Firing, Name: "held_one", Severity: alert.Critical, Handler: "h1", Count: 70},
			{Status: alert.Firing, Name: "held_two", Severity: alert.Info, Handler: "h2", Count: 7},
		},
	}
	got := receive(t, s, n)
	want := []string{"held_one", "70", "h1", "held_two"}
	if h.Brief {
		want = []string{alert.DigestName, "77"}
	}
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the digest does not name %q:\n%s", w, got)
		}
	}
}

func limited(t T, h Harness) {
	s := h.Open(t)
	n := Sample()
	for unit, long := range map[string]string{
		"emoji": strings.Repeat("错误🙂", 10_000), "quotes": strings.Repeat("\"<&\\", 20_000),
		// Whatever the limit, it lies within a rune of one of these.
		"runes": strings.Repeat("错", 30_000), "runes after one": "a" + strings.Repeat("错", 30_000), "runes after two": "ab" + strings.Repeat("错", 30_000),
	} {
		n.Summary = long
		n.Samples = nil
		for range alert.MaxSamples {
			n.Samples = append(n.Samples, alert.Sample{Key: long, Reason: long, At: n.First})
		}
		n.Labels = map[string]string{"label": long}
		got := receive(t, s, n)
		if h.MaxText > 0 && h.Size(got) > h.MaxText {
			t.Errorf("%s: the text has %d, allowed are %d", unit, h.Size(got), h.MaxText)
		}
		if !utf8.ValidString(got) || strings.ContainsRune(got, utf8.RuneError) {
			t.Errorf("%s: a rune was cut in two", unit)
		}
		if !strings.Contains(got, "dead_letter") || !h.Brief && !strings.Contains(got, "https://x.example/7") {
			t.Errorf("%s: what matters was cut off:\n%.2000s", unit, got)
		}
	}
}

func hostile(t T, h Harness) {
	s := h.Open(t)
	n := Sample()
	n.Handler = "shop\r\nTopic: forged"
	n.Samples = []alert.Sample{{Key: "k\x00\x1b[31m\xff\"}", Reason: "one\nLink: forged\u2028\\u0000", At: n.First}}
	n.Labels = map[string]string{"quote\"<": "v\nforged: yes"}
	got := receive(t, s, n)
	for _, bad := range []string{"\nTopic: forged", "\nLink: forged", "\nforged", "\x00", "\x1b"} {
		if strings.Contains(got, bad) {
			t.Errorf("the text has %q:\n%q", bad, got)
		}
	}
	if !utf8.ValidString(got) {
		t.Errorf("the text is not valid: %q", got)
	}
}

func unchanged(t T, h Harness) {
	s := h.Open(t)
	n := Sample()
	n.Labels = map[string]string{"a-b": "1"}
	labels, samples := maps.Clone(n.Labels), slices.Clone(n.Samples)
	receive(t, s, n)
	if !reflect.DeepEqual(n.Labels, labels) || !reflect.DeepEqual(n.Samples, samples) {
		t.Errorf("Send changed what others read too: %v, %v", n.Labels, n.Samples)
	}
}

func concurrent(t T, h Harness) {
	s := h.Open(t)
	const senders, each = 8, 4
	errs := make(chan error, senders*each)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for j := range each {
				n := Sample()
				n.Count = int64(100 + i*each + j)
				errs <- s.Sender.Send(t.Context(), n)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Errorf("Send: %v", err)
		}
	}
	if got := len(s.Received()); got != senders*each {
		t.Errorf("%d of %d arrived", got, senders*each)
	}
}
