package node

import (
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/internal/database"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message that is published before all services have subscribed would miss
// those that come later.
func TestAMemoryBrokerKnowsAllServicesFromTheStart(t *testing.T) {
	for _, raw := range []string{"memory://", "memory://?nack_delay=1ms"} {
		n := &Node{cfg: Config{Settings: settings.Settings{Broker: raw}, Consumer: "shop", TopicSuffix: ".x"}}
		got := n.brokerURL()
		if err := broker.Validate(got); err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if groups, want := u.Query().Get("groups"), "orders.placed.x/shop-payment,orders.paid.x/shop-stock,orders.paid.x/shop-points,orders.paid.x/shop-shipping"; groups != want {
			t.Errorf("groups of %s are %q, want %q", raw, groups, want)
		}
	}
	for _, raw := range []string{"kafka://h:9092", "memory://?groups=a/b"} {
		n := &Node{cfg: Config{Settings: settings.Settings{Broker: raw}}}
		if got := n.brokerURL(); got != raw {
			t.Errorf("%s became %s", raw, got)
		}
	}
}

func TestPartOfAShopIsRefusedOnABrokerOfOneProcess(t *testing.T) {
	source, err := database.Parse(database.SQLiteURL(filepath.Join(t.TempDir(), "shop.db")))
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(t.Context(), Config{
		Settings: settings.Settings{Broker: "memory://"}, Database: source, Consumer: "shop", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := n.Check(role.Set{role.API}); err == nil || !strings.Contains(err.Error(), "one process of several") {
		t.Errorf("got %v", err)
	}
	if err := n.Check(role.All); err != nil {
		t.Error(err)
	}
	if err := n.Ready(t.Context()); err == nil {
		t.Error("ready without tables")
	}
	if err := n.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
