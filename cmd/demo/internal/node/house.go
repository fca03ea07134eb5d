package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/database"
)

// shutdownWithin is how long requests under way may go on.
const shutdownWithin = 30 * time.Second

// House runs the whole shop in this process, with its API on a free port. stop
// ends it, after what is under way has ended, and must be called.
func (n *Node) House(ctx context.Context) (url string, stop func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	server := shop.NewServer(n.API(role.All))
	served, worked := make(chan error, 1), make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() { worked <- n.Run(work, role.All) }()
	return "http://" + listener.Addr().String(), func() error {
		end()
		err := <-worked
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
		defer cancel()
		err = errors.Join(err, server.Shutdown(ending))
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	}, nil
}

// DatabaseURL returns the URL of the database that was asked for, or of a file
// in a new folder, and what removes it.
func DatabaseURL(asked string) (url string, remove func() error, err error) {
	if asked != "" {
		return asked, func() error { return nil }, nil
	}
	folder, err := os.MkdirTemp("", "sluicegate-demo-")
	if err != nil {
		return "", nil, fmt.Errorf("make temporary folder: %w", err)
	}
	return database.SQLiteURL(filepath.Join(folder, "shop.db")), func() error { return os.RemoveAll(folder) }, nil
}
