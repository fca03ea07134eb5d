// Package progress shows how a run goes: one line that is drawn again on a
// terminal, plain lines now and then elsewhere. Logs go through it, so that the
// two do not tear each other apart.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Plain is how often a line is written where there is no terminal.
const Plain = 5 * time.Second

// width is what every terminal has: a line that wraps cannot be taken back.
const width = 79

const (
	clearLine = "\r\x1b[2K"
	dim       = "\x1b[2m"
	reset     = "\x1b[0m"
)

// Display writes to one place. It is safe for concurrent use.
type Display struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	colour   bool
	line     string
	written  time.Time
}

// New returns a display on out. Colours are left out where NO_COLOR is set to
// anything, and nothing is drawn again where out is no terminal.
func New(out io.Writer, env func(string) (string, bool)) *Display {
	term, _ := env("TERM")
	noColour, _ := env("NO_COLOR")
	terminal := isTerminal(out) && term != "dumb"
	return &Display{out: out, terminal: terminal, colour: terminal && noColour == ""}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Show shows line at once on a terminal, and elsewhere where the last one is
// some time ago. now is the time.
func (d *Display) Show(now time.Time, line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.terminal {
		d.line = line
		d.draw()
		return
	}
	if now.Sub(d.written) >= Plain {
		d.written = now
		fmt.Fprintln(d.out, line)
	}
}

// Say writes a line that stays.
func (d *Display) Say(format string, args ...any) {
	_, _ = d.Write(fmt.Appendf(nil, format+"\n", args...))
}

// Write writes what stays, such as a log record, above the line.
func (d *Display) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line != "" {
		fmt.Fprint(d.out, clearLine)
	}
	n, err := d.out.Write(b)
	if d.line != "" {
		d.draw()
	}
	return n, err
}

// Done takes the line away.
func (d *Display) Done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line != "" {
		fmt.Fprint(d.out, clearLine)
		d.line = ""
	}
}

func (d *Display) draw() {
	line := d.line
	if r := []rune(line); len(r) > width {
		line = string(r[:width-1]) + "…"
	}
	if d.colour {
		line = dim + line + reset
	}
	fmt.Fprint(d.out, clearLine+line)
}
