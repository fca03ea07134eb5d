package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluicegate/sluicegate/internal/text"
)

func TestShortNeverCutsARuneAndNeverExceedsItsLimit(t *testing.T) {
	for _, s := range []string{"", "abc", "错误错误错误", "a\x00b", "a\xffb\xfe", strings.Repeat("é", 300), strings.Repeat("\xff", 50)} {
		for limit := range 40 {
			got := text.Short(s, limit)
			if len(got) > limit || !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
				t.Fatalf("Short(%q, %d) = %q", s, limit, got)
			}
		}
	}
}

func TestShortMarksWhatWasCutAndLeavesTheRestAlone(t *testing.T) {
	if got := text.Short("short enough", 12); got != "short enough" {
		t.Fatalf("got %q", got)
	}
	if got := text.Short("too long by one", 14); got != "too long by…" {
		t.Fatalf("got %q", got)
	}
	if got := text.Short("a\x00b\xffc", 20); got != "a\uFFFDb\uFFFDc" {
		t.Fatalf("got %q", got)
	}
}
