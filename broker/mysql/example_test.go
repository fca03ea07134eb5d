package mysql_test

import (
	"fmt"

	"github.com/sluicegate/sluicegate/broker"
	_ "github.com/sluicegate/sluicegate/broker/mysql" // mysql://
)

// A URL is checked before anything connects, and everything that is wrong with
// it is said together.
func Example() {
	fmt.Println(broker.Validate("mysql://user:secret@db/shop?tls_ca_file=/no/such.pem&prefetch=10&concurency=20"))
	// Output:
	// broker URL: the URL parameter "tls" must be true where another tls_ parameter is given
	// the URL parameter "tls_ca_file" cannot be read: open /no/such.pem: no such file or directory
	// parameter prefetch: must not be less than concurrency, 64
	// unknown parameter "concurency": did you mean concurrency?
}
