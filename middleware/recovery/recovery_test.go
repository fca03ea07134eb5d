package recovery_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/routertest"
	"github.com/sluicegate/sluicegate/middleware/recovery"
)

func wrap(t *testing.T, h message.HandlerFunc) message.HandlerFunc {
	t.Helper()
	m, err := recovery.New(recovery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return m(h)
}

func TestAPanicBecomesATypedErrorWithItsStack(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		value any
		text  string
	}{
		{"lost", "handler panicked: lost"},
		{42, "handler panicked: 42"},
		{fmt.Errorf("wrapped: %w", cause), "handler panicked: wrapped: cause"},
		{nil, "handler panicked: panic called with nil argument"},
	} {
		out, err := wrap(t, func(*message.Message) ([]*message.Message, error) { panic(c.value) })(message.NewMessage("1", nil))
		var panicked *recovery.PanicError
		if !errors.As(err, &panicked) || err.Error() != c.text || out != nil {
			t.Errorf("panic(%v): %v", c.value, err)
			continue
		}
		if !strings.Contains(string(panicked.Stack), "TestAPanicBecomes") {
			t.Errorf("the stack does not lead to the handler:\n%s", panicked.Stack)
		}
		if _, isErr := c.value.(error); isErr && !errors.Is(err, cause) {
			t.Error("an error that was thrown must be found in the chain")
		}
	}
}

func TestThePayloadOfAThrownMessageIsNotShown(t *testing.T) {
	_, err := wrap(t, func(msg *message.Message) ([]*message.Message, error) { panic(msg) })(message.NewMessage("1", []byte("card 4111")))
	var panicked *recovery.PanicError
	if !errors.As(err, &panicked) || strings.Contains(err.Error(), "4111") || strings.Contains(string(panicked.Stack), "4111") {
		t.Fatal(err)
	}
	if err.Error() != "handler panicked: a value of type *message.Message" {
		t.Fatal(err)
	}
}

func TestAHugeTextIsShortened(t *testing.T) {
	_, err := wrap(t, func(*message.Message) ([]*message.Message, error) { panic(strings.Repeat("错", 10000)) })(message.NewMessage("1", nil))
	if len(err.Error()) > 600 {
		t.Fatal(len(err.Error()))
	}
}

func TestWithoutAPanicNothingChanges(t *testing.T) {
	boom := errors.New("boom")
	out, err := wrap(t, func(msg *message.Message) ([]*message.Message, error) { return []*message.Message{msg}, boom })(message.NewMessage("1", nil))
	if len(out) != 1 || err != boom { //nolint:errorlint // as it is
		t.Fatal(out, err)
	}
}

func TestAloneOnAPlainRouterAPanicNacksAndGoexitDoesNotLeaveTheMessageInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := recovery.New(recovery.Config{})
		if err != nil {
			t.Fatal(err)
		}
		r := routertest.Start(t, func(msg *message.Message) ([]*message.Message, error) {
			switch msg.UUID {
			case "panic":
				panic("boom")
			case "goexit":
				runtime.Goexit()
			}
			return nil, nil
		}, m)
		for uuid, want := range map[string]routertest.Outcome{"panic": routertest.Nacked, "goexit": routertest.Nacked, "fine": routertest.Acked} {
			if got := r.Deliver(message.NewMessage(uuid, nil)); got != want {
				t.Errorf("%s: %s", uuid, got)
			}
		}
	})
}
