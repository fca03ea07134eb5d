// Package callback_test holds asynchronous calls against real servers: PostgreSQL
// and MariaDB.
package callback_test

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
