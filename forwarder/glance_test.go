package forwarder_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/internal/sqlitetest"
)

func TestLanesThatHaveFewShardsEachLookForThemselves(t *testing.T) {
	db := sqlitetest.Migrate(t, sqlitetest.Open(t))
	insert := "INSERT INTO sluicegate_lease (name, owner, fence, expires_at) VALUES (?, 'another', 1, ?)"
	until := time.Now().Add(time.Hour).UnixMicro()
	names := []any{"relay/member/another"}
	for part := 6; part < 32; part++ {
		names = append(names, fmt.Sprintf("relay/part/%02d", part))
	}
	for _, name := range names {
		if _, err := db.Exec(insert, name, until); err != nil {
			t.Fatal(err)
		}
	}
	box, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		t.Fatal(err)
	}
	const every, looks = 50 * time.Millisecond, 20
	relay, err := box.NewRelay(&switched{}, forwarder.RelayConfig{Lanes: 4, PollMin: every, PollMax: every})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	within(t, "what is free is taken", func() bool { return relay.Stats().Shards == 6 })
	before := relay.Stats().Rounds
	rest(looks * every)
	if n := relay.Stats().Rounds - before; n < 2*looks {
		t.Errorf("the four lanes have looked %d times in all, each should have about %d times", n, looks)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
