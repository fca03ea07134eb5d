package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/sluicegate/sluicegate/cmd/demo/internal/node"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/shop"
	"github.com/sluicegate/sluicegate/internal/database"
)

const serveHelp = `Runs the shop until it is stopped, or with --roles a part of it: several processes
with one database and one broker are then the whole shop. SQLite and the memory
broker serve one process.

  POST /orders {"customer", "sku", "quantity", "amount"}   201 {"id"}: it is committed;
                    with an Idempotency-Key, once, however often it is asked for
  GET  /orders/{id}
  PUT  /products/{sku} {"price"}   204; the product's page in --objects follows
  GET  /ledger      what became of the orders; what is still on its way counts as lost
  GET  /healthz     the process is there
  GET  /readyz      database, tables, broker and idempotency store can be reached;
                    503 and the reasons where not

The merchant whom payment tells, and the courier whom shipping asks, are faked in
the processes of these roles. The pages are written by the processes of the role
api: several of them need one folder.

What cannot be reached at start is waited for; who is refused is told so and ends. SIGTERM ends it cleanly: no new
work is taken, what is under way ends within --drain-timeout.`

// consumer is the shop's name in inbox and groups: the same for all processes.
const consumer = "shop"

// idPrefix keeps the shop's orders apart from those of demo runs.
const idPrefix = "order-"

func (p program) serve(c *cobra.Command) (err error) {
	s, err := p.gather(c, settings.Serve)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: s.LogLevel})).With("pid", os.Getpid())
	if s.Database == "" {
		folder, err := os.MkdirTemp("", "sluicegate-shop-")
		if err != nil {
			return fmt.Errorf("make temporary folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(folder) }()
		s.Database = database.SQLiteURL(filepath.Join(folder, "shop.db"))
		logger.Warn("the orders are kept in a temporary folder and lost at the end: give --database to keep them")
	}
	source, err := database.Parse(s.Database)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	cfg := node.Config{
		Settings: s, Database: source, Consumer: consumer + s.TopicSuffix, TopicSuffix: s.TopicSuffix, Logger: logger,
		IDPrefix: idPrefix, NewID: func() string { return idPrefix + uuid.Must(uuid.NewV7()).String() },
		ShareAlerts: true,
	}
	closePages, err := addPartners(&cfg, s, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closePages()) }()
	n, err := node.Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.Check(s.Roles); err != nil {
		return usageError{err}
	}
	served, shutdown, err := listen(ctx, n, s, logger)
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() {
		select {
		case <-served: // a server that ends by itself ends the process
			stop()
		case <-ctx.Done(): // no new orders while those under way end
		}
		stopped <- shutdown(s.DrainTimeout)
	}()
	logger.Info("the shop begins", "roles", s.Roles.String(), "settings", s)
	if err = n.Wait(ctx); err == nil {
		logger.Info("ready")
		err = n.Run(ctx, s.Roles)
	} else if ctx.Err() != nil {
		err = nil // stopped before everything was there
	}
	stop()
	err = errors.Join(err, <-stopped)
	logger.Info("the shop ends")
	return err
}

// listen starts the HTTP server. Without the role api it only tells how the
// process is, and only where an address was asked for: parts of a shop on one
// machine would otherwise quarrel about the default one. served is closed when
// the server has ended.
func listen(ctx context.Context, n *node.Node, s settings.Settings, logger *slog.Logger) (served <-chan struct{}, shutdown func(time.Duration) error, err error) {
	if !s.Roles.Has(role.API) && !s.ListenSet {
		return nil, func(time.Duration) error { return nil }, nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	logger.Info("listening", "url", "http://"+listener.Addr().String())
	server := shop.NewServer(n.API(s.Roles))
	ended := make(chan struct{})
	var serveErr error
	go func() {
		defer close(ended)
		serveErr = server.Serve(listener)
	}()
	return ended, func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
		defer cancel()
		err := server.Shutdown(ctx)
		<-ended
		if !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	}, nil
}
