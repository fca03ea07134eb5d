// Package deadletter_test holds the dead letters against real servers, and
// against a table of a million of them.
package deadletter_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
