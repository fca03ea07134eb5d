package failure_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestMarksKeepTheErrorAndTheMessage(t *testing.T) {
	err := fmt.Errorf("take stock: %w", failure.Permanent(fmt.Errorf("read: %w", io.EOF)))
	if !failure.IsPermanent(err) || failure.IsUnavailable(err) {
		t.Fatal("the mark is not seen, or the wrong one is")
	}
	if !errors.Is(err, io.EOF) || err.Error() != "take stock: read: EOF" {
		t.Fatalf("the marked error changed: %v", err)
	}
	both := failure.Unavailable(failure.RetryAfter(io.EOF, time.Minute))
	if d, ok := failure.Delay(both); !ok || d != time.Minute || !failure.IsUnavailable(both) {
		t.Fatalf("marks do not combine: %v %v", d, ok)
	}
}

func TestNilStaysNil(t *testing.T) {
	if failure.Permanent(nil) != nil || failure.Unavailable(nil) != nil || failure.RetryAfter(nil, 1) != nil {
		t.Fatal("a nil error became one")
	}
	if failure.IsPermanent(nil) || failure.IsUnavailable(nil) {
		t.Fatal("nil carries a mark")
	}
	if _, ok := failure.Delay(nil); ok {
		t.Fatal("nil asks for a delay")
	}
}
