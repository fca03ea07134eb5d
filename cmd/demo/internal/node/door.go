package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
)

// door is a server on this machine at which the shop and its faked partners meet.
type door struct {
	url    string
	server *http.Server
	ended  chan error
}

func openDoor(ctx context.Context, h http.Handler) (*door, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open the partners' door: %w", err)
	}
	d := &door{url: "http://" + listener.Addr().String(), server: shop.NewServer(h), ended: make(chan error, 1)}
	go func() { d.ended <- d.server.Serve(listener) }()
	return d, nil
}

// close cuts off who is still there.
func (d *door) close() error {
	err := d.server.Close()
	if served := <-d.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
