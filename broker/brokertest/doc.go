// Package brokertest is the suite that every broker driver must pass. Each
// case is named after the guarantee that it checks.
//
//	func TestConformance(t *testing.T) {
//		brokertest.Run(t, brokertest.Harness{
//			URL:      func(brokertest.T) string { return "nats://127.0.0.1:4222" },
//			Declared: broker.Capabilities{Driver: "nats", Order: broker.OrderByKey, Groups: true},
//		})
//	}
//
// A case that needs a capability is skipped where it is not declared, and what
// is declared is pinned by Harness.Declared, so that a skip cannot hide.
//
// [Cases] lets a suite be run against a T of one's own: that is how its own
// tests show, on drivers broken on purpose, that each case can fail.
package brokertest
