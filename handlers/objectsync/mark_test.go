package objectsync_test

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/handlers/objectsync"
	"github.com/sluicegate/sluicegate/handlers/objectsync/memstore"
	"github.com/sluicegate/sluicegate/internal/failure"
)

func TestTheMarkCommitsWithTheRowOrNotAtAll(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		b.run()
		err := inTx(b.db, func(tx *sql.Tx) error {
			_, err := tx.Exec("INSERT INTO products VALUES ('1', 'lamp', 1)")
			must(t, err)
			must(t, b.Mark(t.Context(), tx, "1"))
			return errBroken
		})
		if !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		pass(time.Minute)
		if b.rows("sluicegate_object")+b.rows("sluicegate_task") != 0 || len(b.store.of("put")) != 0 {
			t.Error("what was rolled back left something")
		}
		b.write("lamp", "1")
		pass(10 * time.Second) // nobody wakes the worker
		b.equal()
	})
}

func (b *bench) rows(table string) (n int) {
	b.t.Helper()
	must(b.t, b.db.QueryRow("SELECT COUNT(*) FROM "+table).Scan(&n))
	return n
}

// badNames are entities that no key can be made of.
var badNames = []string{
	"", "..", ".", "../x", "x/../y", "x/..", "/x", "x/", "x//y", `..\x`, `a\b`, "a\x00b", "a\nb", "\xff", "\u0085",
	strings.Repeat("a", 256), strings.Repeat("a", 252), // with ".json" a segment of 257 bytes
}

func TestAnEntityThatIsNoPartOfAKeyIsRefusedAndNothingIsStored(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		handle := b.Handler(func(m *message.Message) (string, error) { return string(m.Payload), nil })
		for _, bad := range badNames {
			err := inTx(b.db, func(tx *sql.Tx) error {
				// Nothing was written: this transaction commits.
				var e *objectsync.KeyError
				if err := b.MarkBatch(t.Context(), tx, "good", bad); !errors.Is(err, objectsync.ErrKey) || !errors.As(err, &e) || !strings.Contains(err.Error(), "entities[1]") {
					t.Errorf("%q: MarkBatch gave %v", bad, err)
				}
				if err := handle(t.Context(), tx, message.NewMessage("1", []byte(bad))); !errors.Is(err, objectsync.ErrKey) || !failure.IsPermanent(err) {
					t.Errorf("%q: the handler gave %v", bad, err)
				}
				return nil
			})
			must(t, err)
			if _, err := b.Sync(t.Context(), bad); !errors.Is(err, objectsync.ErrKey) {
				t.Errorf("%q: Sync gave %v", bad, err)
			}
		}
		if b.rows("sluicegate_object")+b.rows("sluicegate_task") != 0 {
			t.Error("something was stored")
		}
	})
}

func TestMessagesMayComeTwiceAndInAnyOrder(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		handle := b.Handler(func(m *message.Message) (string, error) {
			if len(m.Payload) == 0 {
				return "", errBroken
			}
			return string(m.Payload), nil
		})
		b.run()
		for _, name := range []string{"a", "b", "c"} {
			_, err := b.db.Exec("INSERT INTO products VALUES ('1', ?, 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = version + 1", name)
			must(t, err)
			for range 3 {
				must(t, inTx(b.db, func(tx *sql.Tx) error { return handle(t.Context(), tx, message.NewMessage("1", []byte("1"))) }))
			}
		}
		pass(10 * time.Second)
		b.equal()
		if err := handle(t.Context(), nil, message.NewMessage("1", nil)); !errors.Is(err, errBroken) || !failure.IsPermanent(err) {
			t.Errorf("%v", err)
		}
	})
}

func TestABatchIsMarkedInOneOrderAndOnce(t *testing.T) {
	inBubble(t, objectsync.Config{}, func(t *testing.T, b *bench) {
		var many []string
		for i := range 120 { // more than one statement holds
			many = append(many, string(rune('a'+i%26))+strings.Repeat("x", i/26))
		}
		slices.Reverse(many)
		must(t, inTx(b.db, func(tx *sql.Tx) error { return b.MarkBatch(t.Context(), tx, append(many, many...)...) }))
		if n := b.rows("sluicegate_task"); n != 120 {
			t.Errorf("%d tasks, want 120", n)
		}
		if r := b.record("a"); r.Marks != 1 {
			t.Errorf("%d marks", r.Marks)
		}
	})
}

func TestWhatIsWrongWithAConfigurationIsNamedTogether(t *testing.T) {
	_, err := objectsync.New(nil, nil, objectsync.Config{
		Name: "a b", KeyPrefix: "../", MaxSize: -1, Tries: 11, TryWait: -1, Timeout: -1, Concurrency: -1, OutageMax: -1, PollMax: 1, Lease: 1,
		Schedule: objectsync.Schedule{Initial: -1, Multiplier: 0.5, Max: -2, MaxAttempts: -1}, Prefix: "a-b",
	})
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, field := range []string{
		"Name", "Load", "KeyPrefix", "MaxSize", "Tries", "TryWait", "Timeout", "Concurrency", "OutageMax", "PollMax", "Lease",
		"Schedule.Initial", "Schedule.Multiplier", "Schedule.Max", "Schedule.MaxAttempts", "Prefix",
	} {
		if !strings.Contains(err.Error(), "Config."+field+":") && !strings.Contains(err.Error(), "Config."+field+",") && !strings.Contains(err.Error(), "Config."+field+" ") {
			t.Errorf("%s is not named in %v", field, err)
		}
	}
	for _, part := range []string{"db:", "store:"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named in %v", part, err)
		}
	}
	if _, err := objectsync.New(open(t), memstore.New(), objectsync.Config{Name: "a", Load: load}); err != nil {
		t.Error(err)
	}
}
