package redis_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/redis" // redis:// and rediss://
)

// A URL is checked before anything connects, and everything that is wrong with
// it is said together.
func Example() {
	fmt.Println(broker.Validate("redis://user:secret@h1:6379,h2:6379/0?order=keys&wait_timeout=1s"))
	// Output:
	// broker URL: the URL names several hosts: Redis Cluster and Sentinel are not supported; give the one address of the primary
	// parameter order: unknown value: did you mean key?
	// parameter wait_timeout: needs wait_replicas
}
