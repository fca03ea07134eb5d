// Package alert_test holds the state of alerts against real servers: PostgreSQL
// and MariaDB.
package alert_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
