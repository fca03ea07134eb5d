package nats_test

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

// configVariable names a configuration file: this program is then a nats-server.
const configVariable = "SLUICEGATE_TEST_NATS_SERVER"

func TestMain(m *testing.M) {
	if file := os.Getenv(configVariable); file != "" {
		serve(file)
		return
	}
	goleak.VerifyTestMain(m)
}

func serve(file string) {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		panic(err)
	}
	opts.NoSigs, opts.NoLog = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		panic(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	s.Start()
	<-stop
	s.Shutdown()
	s.WaitForShutdown()
}
