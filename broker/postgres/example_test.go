package postgres_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/postgres" // postgres://
)

// A URL is checked before anything connects, and everything that is wrong with
// it is said together.
func Example() {
	fmt.Println(broker.Validate("postgres://user:secret@db:5432?sslmode=verify_full&lease=15&schema=my-queue"))
	// Output:
	// broker URL: the URL names no database: write it as postgres://user:password@host/database
	// parameter lease: must be a duration with its unit, like 500ms or 10s
	// parameter schema: must be letters, digits and _, not beginning with a digit, at most 63
	// parameter sslmode: must be one of disable, allow, prefer, require, verify-ca, verify-full, did you mean "verify-full"?
}
