// Package notify holds notifications against real servers and the public library of Standard Webhooks.
package notify
