// Package label is a handler kit as a user would write one: it gets a shipping label from a
// carrier for every order that is paid, once, however often the carrier is away, slow,
// wrong or asked twice. The guide docs/guides/handler-kit.md explains it line by line.
//
// OnPaid is a handler of messages and only stores what is to be done; Run does it.
package label
