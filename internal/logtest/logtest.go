// Package logtest holds what a test says of a log.
package logtest

import (
	"bytes"
	"strings"
	"sync"
)

// Buffer is what was written so far, which may be read while others write. The zero
// value is empty and ready for use. It is safe for concurrent use.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds p. It never fails.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all of it.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Count tells how often part is in it.
func (b *Buffer) Count(part string) int { return strings.Count(b.String(), part) }
