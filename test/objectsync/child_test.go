package objectsync_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sluicegate/sluicegate/internal/sqldialect"
	"github.com/sluicegate/sluicegate/test/place"
)

// childVar makes this binary a worker's process.
const childVar = "OBJECTSYNC_CHILD"

// child is a process that runs a Syncer.
type child struct {
	cmd   *exec.Cmd
	ended chan error
}

func (db *database) start(t *testing.T, endpoint string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), childVar+"="+strings.Join([]string{
		strconv.Itoa(int(db.Dialect)), db.DriverName, db.Prefix, endpoint, db.DSN,
	}, " "))
	c.cmd.Stderr = os.Stderr
	place.Must(t, c.cmd.Start())
	go func() { c.ended <- c.cmd.Wait() }()
	t.Cleanup(func() { c.kill() })
	return c
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	place.Must(t, c.cmd.Process.Signal(s))
}

// kill ends it with SIGKILL and waits for that.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	err := <-c.ended
	c.ended <- err
}

func childMain() int {
	parts := strings.SplitN(os.Getenv(childVar), " ", 5)
	n, _ := strconv.Atoi(parts[0])
	db := &database{
		Database: &place.Database{Dialect: sqldialect.Dialect(n), DriverName: parts[1], Prefix: parts[2], DSN: parts[4]},
		table:    parts[2] + "product",
	}
	if err := db.run(parts[3]); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

func (db *database) run(endpoint string) error {
	if err := db.connect(); err != nil {
		return err
	}
	store, err := bucketAt(endpoint, false)
	if err != nil {
		return err
	}
	s, err := db.syncer(store)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return s.Run(ctx)
}
