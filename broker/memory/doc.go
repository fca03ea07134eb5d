// Package memory registers the scheme memory:// : a broker inside this
// process, for tests, demos and services that need no other.
//
//	memory://            a broker of its own
//	memory://shop        shared by all who open this name in this process
//	memory://?groups=orders.paid/stock,orders.paid/points
//
// It is ordered by key, has consumer groups, and Publish returns when every
// group of the topic has acked. So whoever keeps a message until Publish has
// returned (an outbox does) loses nothing when the process dies, though this
// broker itself stores nothing. Publisher and subscribers must be one process.
//
// # Which groups
//
// A group exists from its first Subscribe or SubscribeInitialize on, or from the
// start where the parameter groups names it as topic/group. From then on it gets every message
// of the topic, also while nobody is subscribed: Publish then waits for someone
// to come back. A message to a topic without any group is refused at once, with
// an error that unavailable.Is recognises: to accept it would be to
// report a delivery to nobody, and to wait would hold up everything behind
// it. Whoever publishes at start must subscribe first or name the groups.
//
// # When the context ends
//
// Publish then reports the messages that some group has not acked, and takes
// them back: what no subscriber has yet is never delivered, and what is under way
// is not delivered again if it fails. Published once more, a message
// may reach a group twice.
//
// # Parameters
//
//	groups          topic/group pairs that exist from the start
//	concurrency     messages under way at once in a group and topic; default 64
//	nack_delay      wait before the first redelivery; default 10ms. It doubles,
//	nack_delay_max  up to this; default 1s. Half of each wait is random.
//	ack             groups (default), or none: Publish returns when the message
//	                is in memory, and one to a topic without groups is dropped.
//	                A crash then loses messages; Capabilities says so.
//	max_queued      messages waiting in a group and topic; default 65536. More
//	                are refused as unavailable.
//
// Messages without a key have no order and are handled as if each had its own.
package memory
