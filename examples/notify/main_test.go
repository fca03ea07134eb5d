package main

import (
	"bytes"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheExampleHoldsItsInvariants(t *testing.T) {
	var out bytes.Buffer
	c, err := run(t.Context(), &out)
	if err != nil || !c.OK {
		t.Errorf("%+v, %v\n%s", c, err, out.String())
	}
	if c.Committed != 4*each || c.RolledBack != 4*each || c.Posts <= c.Committed {
		t.Errorf("%+v", c)
	}
}
