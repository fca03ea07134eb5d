package unavailable_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/internal/failure"
	"github.com/sluicegate/sluicegate/middleware/unavailable"
)

var (
	errBoom    = errors.New("boom")
	errOwn     = errors.New("the mainframe sleeps")
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
)

func call(t *testing.T, cfg unavailable.Config, ctx context.Context, err error) error { //nolint:revive // the test comes first
	t.Helper()
	mw, newErr := unavailable.New(cfg)
	if newErr != nil {
		t.Fatal(newErr)
	}
	out, got := mw(func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{message.NewMessage("out", nil)}, err
	})(message.NewMessageWithContext(ctx, "1", nil))
	if (got == nil) != (err == nil) || err != nil && (!errors.Is(got, err) || got.Error() != err.Error()) {
		t.Fatalf("%v became %v", err, got)
	}
	if got == nil && len(out) != 1 {
		t.Fatalf("%d outputs of a success", len(out))
	}
	return got
}

func TestWhatIsRecognisedIsMarkedAndNothingElseChanges(t *testing.T) {
	own := unavailable.Config{Also: []func(error) bool{
		func(error) bool { return false },
		func(err error) bool { return errors.Is(err, errOwn) },
	}}
	never := unavailable.Config{Not: func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }}
	for name, c := range map[string]struct {
		cfg    unavailable.Config
		err    error
		marked bool
	}{
		"success":                           {own, nil, false},
		"a failure":                         {own, errBoom, false},
		"recognised":                        {unavailable.Config{}, fmt.Errorf("charge: %w", errRefused), true},
		"recognised by its user":            {own, fmt.Errorf("charge: %w", errOwn), true},
		"refused by its user":               {never, errRefused, false},
		"marked in spite of its user":       {never, unavailable.Mark(errRefused), true},
		"permanent":                         {own, failure.Permanent(errRefused), false},
		"permanent, though its user's":      {own, failure.Permanent(errOwn), false},
		"a time-out that we imposed":        {own, fmt.Errorf("%w: %w", failure.ErrTimeout, errRefused), false},
		"a time-out of ours, though user's": {own, fmt.Errorf("%w: %w", failure.ErrTimeout, errOwn), false},
		"marked where it arose":             {unavailable.Config{}, unavailable.Mark(errBoom), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := call(t, c.cfg, t.Context(), c.err); errors.Is(got, unavailable.Err) != c.marked {
				t.Errorf("marked: %v, want %v", !c.marked, c.marked)
			}
		})
	}
}

func TestNothingIsMarkedOnceTheMessagesOwnContextIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := call(t, unavailable.Config{}, ctx, errRefused); errors.Is(got, unavailable.Err) {
		t.Error("what a shutdown cut off was taken for an outage")
	}
}

func TestAFunctionThatIsNilIsRefused(t *testing.T) {
	_, err := unavailable.New(unavailable.Config{Also: []func(error) bool{func(error) bool { return false }, nil}})
	if err == nil || !strings.Contains(err.Error(), "Config.Also[1]") {
		t.Fatalf("got %v", err)
	}
}
