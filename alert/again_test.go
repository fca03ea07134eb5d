package alert_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicegate/sluicegate/alert"
)

// offers records what was offered, accepted or not.
type offers struct {
	mu   sync.Mutex
	all  []alert.Notification
	fail func(try int) error
}

func (o *offers) Send(_ context.Context, n alert.Notification) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, n)
	return o.fail(len(o.all))
}

func (o *offers) list() []alert.Notification {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.all)
}

// Who tells two offers of a notification apart by what is in it, as a webhook's
// id does, must find the same in both.
func TestANotificationThatIsOfferedAgainIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &offers{fail: func(try int) error {
			if try < 4 {
				return errors.New("its answer was lost")
			}
			return nil
		}}
		n, stop := start(t, o, alert.Config{State: shared(t), Repeat: time.Hour, Quiet: 90 * time.Minute})
		n.Emit(urgent("down"))
		pause(t, time.Minute)
		list := o.list()
		if len(list) != 4 {
			t.Fatalf("offered %d times", len(list))
		}
		for i, again := range list {
			if !again.At.Equal(list[0].At) || again.Count != list[0].Count {
				t.Errorf("offer %d is of %s, the first of %s", i, again.At, list[0].At)
			}
		}
		pause(t, 2*time.Hour)
		list = o.list()
		if len(list) != 6 || !list[4].Repeat || !list[4].At.After(list[3].At) || list[5].Status != alert.Resolved || !list[5].At.After(list[4].At) {
			t.Errorf("what is told later is another: %+v", list)
		}
		stop()
	})
}

func latest(o *offers) alert.Notification {
	list := o.list()
	return list[len(list)-1]
}

func TestWhatHasChangedSinceItWasOfferedIsAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var works atomic.Bool
		o := &offers{fail: func(int) error {
			if works.Load() {
				return nil
			}
			return errors.New("no route")
		}}
		n, stop := start(t, o, alert.Config{MaxAttempts: 100})
		n.Emit(urgent("down"))
		pause(t, 10*time.Second)
		first := latest(o)
		n.Emit(urgent("down"))
		pause(t, time.Minute)
		works.Store(true)
		pause(t, time.Minute)
		last := latest(o)
		if last.Count != 2 || !last.At.After(first.At) {
			t.Errorf("%d of %s after %d of %s", last.Count, last.At, first.Count, first.At)
		}
		stop()
	})
}

// More is due for a channel that hangs than one look at the state shows.
func TestMuchThatIsDueForAChannelThatHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 700
		hangs, c := &sender{block: make(chan struct{})}, &sender{}
		n, stop := start(t, c, alert.Config{
			Channels: map[string]alert.Channel{"hangs": {Sender: hangs}},
			Routes:   []alert.Route{{Match: []string{"name=~storm.*"}, Channels: []string{"hangs"}}},
		})
		for i := range many {
			n.Emit(urgent(fmt.Sprint("storm", i)))
		}
		pause(t, 5*time.Second)
		n.Emit(urgent("down"))
		pause(t, time.Minute)
		told := c.told()
		stop()
		if fmt.Sprint(told) != "[firing down 1]" {
			t.Errorf("told %q", told)
		}
	})
}

func TestAnAlertOfATimeThatCannotBeWrittenIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sender{}
		n, stop := start(t, c, alert.Config{State: shared(t)})
		early, late := urgent("early"), urgent("late")
		early.At, late.At = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		n.Emit(early)
		n.Emit(urgent("down"))
		n.Emit(late)
		pause(t, time.Minute)
		told := c.told()
		stop()
		if len(told) != 3 {
			t.Errorf("told %q", told)
		}
	})
}
