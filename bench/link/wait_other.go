//go:build !linux

package link

import "time"

func waitUntil(t time.Time) { <-time.After(time.Until(t)) }
