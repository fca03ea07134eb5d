package pgnotify_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/sluicegate/sluicegate/forwarder"
	"github.com/sluicegate/sluicegate/forwarder/pgnotify"
)

func TestWhatCannotWorkIsRefusedTogether(t *testing.T) {
	single, err := sql.Open("pgx", "")
	if err != nil {
		t.Fatal(err)
	}
	single.SetMaxOpenConns(1)
	_, err = pgnotify.New(single, pgnotify.Config{Channel: "My Channel"})
	if err == nil || !strings.Contains(err.Error(), "SetMaxOpenConns") || !strings.Contains(err.Error(), "Config.Channel") {
		t.Errorf("got %v", err)
	}
	if _, err := pgnotify.New(nil, pgnotify.Config{}); err == nil {
		t.Error("no database is accepted")
	}
}

func TestAnotherDriverIsSaidToBeOneThatNeverListens(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := pgnotify.New(db, pgnotify.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context(), func() { t.Error("woken") }); !errors.Is(err, forwarder.ErrNoSignal) {
		t.Errorf("got %v, want ErrNoSignal", err)
	}
}
