package server

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine returns lines about where this program runs.
func Machine() []string {
	out := []string{fmt.Sprintf("cores=%d", runtime.NumCPU()), fmt.Sprintf("GOMAXPROCS=%d", runtime.GOMAXPROCS(0)), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		out = append(out, "cpu="+model)
	}
	if total := field("/proc/meminfo", "MemTotal"); total != "" {
		out = append(out, "memory="+total)
	}
	return out
}

// Load returns the load averages of 1, 5 and 15 minutes, where the system tells
// them: above the number of cores, others were at work too.
func Load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(data))[:3], " ")
}

func field(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "" // another system; the line is left out
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}
