// Package outage_test takes away what the layers depend on: a server that a handler asks, and
// the broker under load.
package outage_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
