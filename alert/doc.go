// Package alert tells people what needs them, once.
//
// A Notifier takes alerts from anywhere without ever blocking the caller, folds
// those of one fingerprint together, and hands them to a Channel from the one
// goroutine that runs it. The first alert of a fingerprint is sent, those that
// follow within Config.Repeat are only counted, and the next one after that is
// sent with the count.
//
// The fingerprint is the alert's name, handler, topic and labels: what is
// stable. Keys, reasons and message ids are not part of it, or a thousand
// failing messages would be a thousand alerts.
//
// Sending an alert never blocks or fails a handler: what does not fit is
// dropped and counted.
package alert
