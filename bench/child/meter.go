package child

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"time"
)

// meter measures this process from its start on.
type meter struct {
	start time.Time
	cpu   time.Duration
}

func startMeter() meter {
	// 5 makes the kernel forget the highest resident memory so far; where it
	// cannot, the figure includes opening.
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600)
	return meter{start: time.Now(), cpu: cpuTime()}
}

func (m meter) read() Usage {
	return Usage{
		CPUSeconds:  (cpuTime() - m.cpu).Seconds(),
		WallSeconds: time.Since(m.start).Seconds(),
		PeakBytes:   peakMemory(),
	}
}

// peakMemory reads the high-water mark of resident memory: that of getrusage
// would be inherited from the parent by exec.
func peakMemory() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	return statusBytes(data, "VmHWM:")
}

// statusBytes reads a line such as "VmHWM:   12345 kB".
func statusBytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		rest, found := bytes.CutPrefix(line, []byte(name))
		if !found {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 64)
		if err != nil {
			return 0
		}
		return n * 1024
	}
	return 0
}

// ProfileVariable names the file for a CPU profile, which every child writes
// anew.
const ProfileVariable = "BENCH_CPUPROFILE"

func profile() (stop func(), err error) {
	path := os.Getenv(ProfileVariable)
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("create profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start profile: %w", err), f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile is a help and not a result
	}, nil
}
