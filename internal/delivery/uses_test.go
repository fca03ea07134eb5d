package delivery_test

import (
	"slices"
	"testing"

	"github.com/sluicegate/sluicegate/internal/delivery"
)

func TestTheDependencyNamedLastIsAtTheEndAndEachIsTakenOnce(t *testing.T) {
	d := &delivery.Delivery{}
	for _, name := range []string{"crm", "mail", "crm"} {
		d.Use(name)
	}
	if got := d.TakeUses(); !slices.Equal(got, []string{"mail", "crm"}) {
		t.Fatalf("took %v", got)
	}
	if got := d.TakeUses(); got != nil {
		t.Fatalf("took %v a second time", got)
	}
	var none *delivery.Delivery
	none.Use("crm")
	if none.TakeUses() != nil {
		t.Fatal("nobody's delivery has dependencies")
	}
}
