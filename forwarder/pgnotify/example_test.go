package pgnotify_test

import (
	"database/sql"
	"fmt"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgnotify"
)

func Example() {
	db, err := sql.Open("pgx", "postgres://localhost/shop") // does not connect yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	signal, err := pgnotify.New(db, pgnotify.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	// In the processes that publish and in those that relay.
	box, err := forwarder.New(db, forwarder.Config{Signal: signal})
	fmt.Println(box != nil, err)
	// Output: true <nil>
}
