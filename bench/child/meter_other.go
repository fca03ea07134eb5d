//go:build !unix

package child

import "time"

func cpuTime() time.Duration { return 0 }
