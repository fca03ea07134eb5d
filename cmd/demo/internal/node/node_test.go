package node

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluicegate/sluicegate/broker/topology"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/role"
	"github.com/sluicegate/sluicegate/cmd/demo/internal/settings"
	"github.com/sluicegate/sluicegate/internal/database"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A message that is published before all services have subscribed would miss
// those that come later.
func TestAMemoryBrokerKnowsAllServicesFromTheStart(t *testing.T) {
	for raw, want := range map[string]string{
		"memory://":                "orders.placed.x/shop-payment,orders.paid.x/shop-stock,orders.paid.x/shop-points,orders.paid.x/shop-shipping",
		"memory://?nack_delay=1ms": "orders.placed.x/shop-payment,orders.paid.x/shop-stock,orders.paid.x/shop-points,orders.paid.x/shop-shipping",
		"memory://?groups=a/b":     "",
	} {
		n := &Node{cfg: Config{Settings: settings.Settings{Broker: raw}, Consumer: "shop", TopicSuffix: ".x"}}
		got := n.topology()
		if err := got.Validate(); err != nil {
			t.Fatal(err)
		}
		if groups := got.Brokers["main"].DriverOptions["memory"]["groups"]; groups != want {
			t.Errorf("groups of %s are %q, want %q", raw, groups, want)
		}
	}
}

func TestATopicIsConfiguredByItsNameWithoutTheSuffix(t *testing.T) {
	asked := topology.Config{
		Brokers: map[string]topology.Broker{"a": {URL: "memory://"}, "b": {URL: "memory://b"}},
		Topics:  map[string]topology.Topic{"orders.placed": {Broker: "a"}, "orders.paid": {Broker: "b"}},
	}
	n := &Node{cfg: Config{Settings: settings.Settings{Brokers: asked}, TopicSuffix: ".x"}}
	if got := n.topology(); got.Topics["orders.placed.x"].Broker != "a" || got.Topics["orders.paid.x"].Broker != "b" {
		t.Errorf("got %v", got)
	}
	if len(asked.Topics) != 2 || asked.Brokers["a"].DriverOptions != nil {
		t.Errorf("the settings were changed: %v", asked)
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
