package brokertest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	"github.com/sluicegate/sluicegate/internal/failure"
)

var errAway = failure.Unavailable(errors.New("away"))

// waits is a driver as it should be while its broker is away.
func waits() altered {
	return altered{
		check: func(sound, context.Context) error { return errAway },
		publish: func(_ sound, ctx context.Context, msgs []broker.Outgoing) []error {
			<-ctx.Done()
			results := make([]error, len(msgs))
			for i, m := range msgs {
				if results[i] = failure.Unavailable(ctx.Err()); m.Topic == "bad topic" {
					results[i] = failure.Permanent(errors.New("bad topic"))
				}
			}
			return results
		},
	}
}

func remote(driver altered) brokertest.Remote {
	scheme := register(driver)
	// The memory broker behind it has a name where others have an address.
	return brokertest.Remote{URL: func(string) string { return scheme + "://" + rand.Text() + "?consumer_group=g" }, Impossible: "bad topic"}
}

func TestADriverThatWaitsPassesTheAbsenceOfItsBroker(t *testing.T) {
	brokertest.RunAway(t, remote(waits()))
}

func TestTheAbsenceOfABrokerCatchesADriverThat(t *testing.T) {
	for name, spoil := range map[string]func(a *altered){
		"says that it can be reached": func(a *altered) { a.check = nil },
		"takes what cannot be published": func(a *altered) {
			a.publish = func(_ sound, _ context.Context, msgs []broker.Outgoing) []error { return make([]error, len(msgs)) }
		},
		"takes its absence for a failure": func(a *altered) {
			right := a.publish
			a.publish = func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
				results := right(s, ctx, msgs)
				results[0] = failure.Permanent(errors.New("refused"))
				return results
			}
		},
		"cannot tell the impossible": func(a *altered) {
			right := a.publish
			a.publish = func(s sound, ctx context.Context, msgs []broker.Outgoing) []error {
				results := right(s, ctx, msgs)
				results[1] = results[0]
				return results
			}
		},
		"ends the subscription": func(a *altered) {
			a.subscribe = func(sound, context.Context, string, string) (<-chan *message.Message, error) {
				out := make(chan *message.Message)
				close(out)
				return out, nil
			}
		},
		"delivers from nowhere": func(a *altered) {
			a.subscribe = func(sound, context.Context, string, string) (<-chan *message.Message, error) {
				out := make(chan *message.Message, 1)
				out <- message.NewMessage("1", nil)
				close(out)
				return out, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			driver := waits()
			spoil(&driver)
			for _, c := range brokertest.AwayCases(remote(driver)) {
				how := failures(t, c, brokertest.Harness{})
				if len(how) == 0 {
					t.Errorf("passes where %s", c.Name)
				}
				t.Logf("%s: %s", c.Name, strings.Join(how, "; "))
			}
		})
	}
}
