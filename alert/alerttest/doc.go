// Package alerttest checks that an alert.Sender keeps its promises: a
// notification arrives with what a person needs, within the limits of its
// service; Send returns when its context ends; an error says what to do next;
// and no secret is in any error, in what the Sender prints, or in a log.
//
//	func TestConformance(t *testing.T) {
//		alerttest.Run(t, alerttest.Harness{Open: …})
//	}
//
// Senders over HTTP need only an HTTP, which brings the service along.
package alerttest
