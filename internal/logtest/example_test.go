package logtest_test

import (
	"fmt"
	"log/slog"

	"github.com/sluicegate/sluicegate/internal/logtest"
)

func Example() {
	var log logtest.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	logger.Warn("interrupted")
	logger.Info("goes on")
	fmt.Println(log.Count("level=WARN"), log.Count("goes on"))
	// Output: 1 1
}
