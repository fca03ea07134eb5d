package sqlstate_test

import (
	"database/sql"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/alert/slogchannel"
	"github.com/sluicegate/sluicegate/alert/sqlstate"
)

func Example() {
	db, err := sql.Open("sqlite", "file:example?mode=memory") // the service's own database
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	state, err := sqlstate.New(db, sqlstate.Config{})
	if err != nil {
		log.Fatal(err)
	}
	channel, err := slogchannel.New(slog.New(slog.NewTextHandler(os.Stderr, nil)), slogchannel.Config{})
	if err != nil {
		log.Fatal(err)
	}
	// Each replica has one, on the same table; together they tell people once.
	notifier, err := alert.New(channel, alert.Config{State: state})
	if err != nil {
		log.Fatal(err)
	}
	// go notifier.Run(ctx)
	fmt.Println(notifier.Stats().Sent, "sent")
	// Output: 0 sent
}
