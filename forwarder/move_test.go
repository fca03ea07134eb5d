package forwarder

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/schedule"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

type nowhere struct{ message.Publisher }

func TestWhatWasCancelledBeforeItEntersStaysOutAndTheOthersEnter(t *testing.T) {
	db := sqlitetest.Open(t)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	o, err := New(db, Config{})
	check(err)
	ctx := t.Context()
	check(o.Migrate(ctx))
	for _, id := range []string{"a", "b", "c"} {
		check(o.PublishAfter(ctx, db, time.Microsecond, "orders", message.NewMessage(id, nil)))
	}
	r, err := o.NewRelay(nowhere{}, RelayConfig{})
	check(err)
	var tasks []schedule.Task
	for len(tasks) < 3 {
		more, err := o.tasks.Claim(ctx, schedule.ClaimRequest{Queue: publishQueue, Limit: 3, Lease: time.Minute})
		check(err)
		tasks = append(tasks, more...)
	}
	check(o.tasks.Cancel(ctx, tasks[1].ID))
	check(mover{r}.let(ctx, tasks))
	var got string
	check(db.QueryRowContext(ctx, "SELECT GROUP_CONCAT(message_uuid, ' ') FROM (SELECT message_uuid FROM sluicegate_outbox ORDER BY id)").Scan(&got))
	if got != "a c" {
		t.Errorf("entered: %q, want a and c", got)
	}
}
