package alerttest_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/alerttest"
)

// breakage is what is broken, and the beginning of the case that must notice.
type breakage struct {
	name   string
	change func(s *sender)
	caught string
}

var brokenTexts = []breakage{
	{"says nothing of the error", func(s *sender) {
		s.text = func(n alert.Notification) string { n.Samples = nil; return soundText(n) }
	}, "a notification arrives"},
	{"drops the message and reports success", func(s *sender) {
		s.send = func(context.Context, *sender, string) error { return nil }
	}, "a notification arrives"},
	{"tells of what is resolved as if it fired", func(s *sender) {
		s.text = func(n alert.Notification) string { n.Status = alert.Firing; return soundText(n) }
	}, "a resolved notification"},
	{"forgets the digest", func(s *sender) {
		s.text = func(n alert.Notification) string { n.Digest = nil; return soundText(n) }
	}, "a digest"},
	{"does not shorten", func(s *sender) {
		s.text = func(n alert.Notification) string {
			return textWith(n, func(s string, _ int) string { return line(s, 1<<30) })
		}
	}, "a text stays within"},
	{"cuts within a rune", func(s *sender) {
		s.text = func(n alert.Notification) string {
			return textWith(n, func(s string, limit int) string { return s[:min(len(s), limit)] })
		}
	}, "a text stays within"},
	{"cuts the end off, with the link in it", func(s *sender) {
		s.text = func(n alert.Notification) string {
			link := n.Link
			n.Link = ""
			return line(strings.ReplaceAll(textWith(n, func(s string, _ int) string { return line(s, 1<<30) })+link, "\n", " "), maxText)
		}
	}, "a text stays within"},
	{"passes line breaks on", func(s *sender) {
		s.text = func(n alert.Notification) string {
			return textWith(n, func(s string, limit int) string { return strings.ToValidUTF8(s, "?")[:min(len(s), limit)] })
		}
	}, "no value writes"},
	{"changes the labels", func(s *sender) {
		s.mutate = func(n alert.Notification) {
			maps.DeleteFunc(n.Labels, func(string, string) bool { return true })
		}
	}, "a notification is not changed"},
}

func TestEachBrokenSenderIsCaught(t *testing.T) {
	caught := map[string]bool{}
	for _, b := range slices.Concat(brokenTexts, brokenAnswers) {
		t.Run(b.name, func(t *testing.T) {
			for _, c := range alerttest.Cases() {
				if !strings.HasPrefix(c.Name, b.caught) {
					continue
				}
				caught[c.Name] = true
				if failed := failures(t, c, harness(b.change)); len(failed) == 0 {
					t.Errorf("%q passes", c.Name)
				} else {
					t.Logf("%.200s", failed[0])
				}
				return
			}
			t.Errorf("there is no case %q", b.caught)
		})
	}
	for _, c := range alerttest.Cases() {
		if !caught[c.Name] {
			t.Errorf("no broken sender shows that %q can fail", c.Name)
		}
	}
}
