package forwarder_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/forwarder"
)

type chanPub struct{ ch chan *message.Message }

func (p chanPub) Publish(topic string, msgs ...*message.Message) error {
	for _, m := range msgs {
		p.ch <- m
	}
	return nil
}
func (p chanPub) Close() error { return nil }

func TestSmoke(t *testing.T) {
	dsn := fmt.Sprintf("file:%s?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)", filepath.Join(t.TempDir(), "x.db"))
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	o, err := forwarder.New(db, forwarder.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := o.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	const n = 20000
	var msgs []*message.Message
	for i := range n {
		m := message.NewMessage("", []byte(fmt.Sprint(i)))
		forwarder.SetKey(m, fmt.Sprint(i%100))
		msgs = append(msgs, m)
	}
	tx, _ := db.Begin()
	start := time.Now()
	if err := o.Publish(ctx, tx, "orders", msgs...); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	t.Log("insert", time.Since(start))
	start = time.Now()
	pub := chanPub{make(chan *message.Message, n)}
	r, err := o.NewRelay(pub, forwarder.RelayConfig{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for range n {
		<-pub.ch
	}
	t.Log("relay", time.Since(start))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r.Stats())
}
