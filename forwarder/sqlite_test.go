package forwarder_test

import (
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/forwarder/forwardertest"
	"github.com/sluicegate/sluicegate/internal/logtest"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLite(t *testing.T) {
	forwardertest.Run(t, forwardertest.Harness{DB: sqlitetest.Durable(t), Slow: raceDetector, Patience: time.Minute})
}

// records is a log that can be read while it is written.
type records struct{ logtest.Buffer }

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }
