// Package schedule_test holds the schedule against real servers: PostgreSQL and
// MariaDB.
package schedule_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
