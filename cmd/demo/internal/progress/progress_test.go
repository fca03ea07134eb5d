package progress

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func env(m map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := m[k]; return v, ok }
}

func TestWithoutATerminalPlainLinesAreWrittenNowAndThen(t *testing.T) {
	var b bytes.Buffer
	d := New(&b, env(nil))
	begun := time.Unix(1000, 0)
	for i := range 101 {
		d.Show(begun.Add(time.Duration(i)*100*time.Millisecond), "line")
	}
	d.Done()
	if got, want := b.String(), strings.Repeat("line\n", 3); got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func TestOnATerminalTheLineIsDrawnAgainBelowWhatStays(t *testing.T) {
	var b bytes.Buffer
	d := New(&b, env(nil))
	d.terminal, d.colour = true, true
	d.Show(time.Now(), "one")
	d.Say("a log record")
	d.Show(time.Now(), strings.Repeat("x", 300))
	d.Done()
	text := b.String()
	for _, want := range []string{clearLine + dim + "one" + reset, clearLine + "a log record\n" + clearLine + dim + "one"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q has no %q", text, want)
		}
	}
	if strings.Contains(text, strings.Repeat("x", 80)) || !strings.HasSuffix(text, clearLine) {
		t.Errorf("too long, or left behind: %q", text)
	}
}

func TestNoColourIsShownWhereItIsNotWanted(t *testing.T) {
	var b bytes.Buffer
	d := New(&b, env(map[string]string{"NO_COLOR": "1"}))
	d.terminal = true
	d.Show(time.Now(), "one")
	if strings.Contains(b.String(), dim) {
		t.Errorf("coloured: %q", b.String())
	}
}
