package idempotency_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/middleware/idempotency"
	"github.com/sluicegate/sluicegate/middleware/idempotency/memorystore"
)

func TestEveryInvalidValueIsNamedAtOnce(t *testing.T) {
	_, err := idempotency.New(nil, idempotency.Config{
		Handler: "a\x00", Consumer: "a/b", Lease: -1, Heartbeat: time.Hour, Retention: -1, RedeliveryHorizon: -1, BusyWait: -1, TakeoverPolicy: 9,
	})
	for _, field := range []string{"store", "Config.Handler", "Config.Consumer", "Config.Lease", "Config.Heartbeat",
		"Config.Retention", "Config.RedeliveryHorizon", "Config.BusyWait", "Config.TakeoverPolicy"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
	_, err = idempotency.Transaction(nil, nil, idempotency.TxConfig{Consumer: "a/b", Retention: -1})
	for _, field := range []string{"store", "runner", "TxConfig.Consumer", "TxConfig.Retention"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("error %v does not name %s", err, field)
		}
	}
}

func TestARetentionShorterThanTheRedeliveryHorizonIsRefused(t *testing.T) {
	for name, cfg := range map[string]idempotency.Config{
		"stated":  {Retention: time.Hour, RedeliveryHorizon: 2 * time.Hour},
		"default": {Retention: time.Hour},
		"horizon": {RedeliveryHorizon: 8 * 24 * time.Hour},
	} {
		_, err := idempotency.New(memorystore.New(), cfg)
		if err == nil || !strings.Contains(err.Error(), "Config.Retention") || !strings.Contains(err.Error(), "Config.RedeliveryHorizon") {
			t.Errorf("%s: error %v, want one that names both fields", name, err)
		}
	}
	if _, err := idempotency.New(memorystore.New(), idempotency.Config{Retention: time.Hour, RedeliveryHorizon: time.Hour}); err != nil {
		t.Error(err)
	}
}
