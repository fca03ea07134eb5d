package callback

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/alert"
	"github.com/sluicegate/sluicegate/internal/schedule"
)

// parked is a callback as it waits for its call.
type parked struct {
	Number string `json:"number"`
	Status Status `json:"status"`
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	Data   []byte `json:"data,omitempty"`
}

func (p parked) result() Result {
	return Result{Status: p.Status, Code: p.Code, Reason: p.Reason, Data: p.Data}
}

// maxParkedDelay is the longest time between two looks for the call of a parked
// callback.
const maxParkedDelay = 30 * time.Second

// park stores a callback. One that says the same is stored once.
func (c *Caller) park(ctx context.Context, number string, r Result) error {
	payload, err := json.Marshal(parked{number, r.Status, r.Code, r.Reason, r.Data})
	if err != nil {
		return fmt.Errorf("park callback: %w", err)
	}
	sum := sha256.Sum256(payload)
	_, err = c.schedule.Add(ctx, schedule.Spec{
		Queue: c.parkedQueue(), Key: number + " " + hex.EncodeToString(sum[:16]), Payload: payload, Delay: c.cfg.LookUpEvery,
	})
	if err != nil {
		return fmt.Errorf("park callback: %w", err)
	}
	if c.cfg.LookUpEvery < c.cfg.pollMax() {
		c.parked.Wake()
	}
	c.tell(Fact{Kind: KindParked, Number: number, Source: ByCallback, Status: r.Status})
	return nil
}

// pollMax is within which time the worker would look again by itself.
func (c Config) pollMax() time.Duration {
	if c.PollMax > 0 {
		return c.PollMax
	}
	return 5 * time.Second
}

// takeUp works a parked callback: it is applied where its call is there by now.
func (c *Caller) takeUp(ctx context.Context, t schedule.Task) schedule.Outcome {
	var p parked
	if err := json.Unmarshal(t.Payload, &p); err != nil {
		return schedule.Outcome{Status: schedule.Dead, Attempts: t.Attempts, Error: "parked callback is damaged"}
	}
	again := schedule.Outcome{Status: schedule.Waiting, Delay: c.cfg.LookUpEvery, Attempts: t.Attempts}
	_, err := c.stored(ctx, func(ctx context.Context) (Kind, error) { return c.report(ctx, p.Number, ByCallback, p.result()) })
	switch {
	case err == nil:
		return schedule.Outcome{Status: schedule.Done, Attempts: t.Attempts}
	case !errors.Is(err, ErrNotFound):
		again.Error = err.Error()
		return again
	}
	now, err := c.table.Clock(ctx)
	if err != nil {
		again.Error = err.Error()
		return again
	}
	left := t.CreatedAt.Add(c.cfg.ParkFor).Sub(now)
	if left <= 0 {
		c.expired(p)
		return schedule.Outcome{Status: schedule.Expired, Attempts: t.Attempts, Error: "its call never came"}
	}
	again.Attempts++
	for range again.Attempts - c.cfg.LookUps {
		if again.Delay *= 2; again.Delay >= maxParkedDelay {
			break
		}
	}
	again.Delay = min(again.Delay, max(maxParkedDelay, c.cfg.LookUpEvery), left)
	return again
}

func (c *Caller) expired(p parked) {
	c.tell(Fact{Kind: KindExpired, Number: p.Number, Source: ByCallback, Status: p.Status})
	if c.cfg.Alerts != nil {
		c.cfg.Alerts.Emit(alert.Alert{
			Name: AlertExpired, Severity: alert.Warning, Handler: "callback/" + c.cfg.Service, Topic: c.cfg.Topic, Key: p.Number,
			Summary: "A service called back for a call that is not there", Reason: fmt.Sprintf("no call with this number came within %v", c.cfg.ParkFor),
		})
	}
}

// Parked is a callback that waits for its call.
type Parked struct {
	ID     int64
	Number string
	Result Result
	// Since is when it came, and Expires until when it is kept.
	Since, Expires time.Time
	// LookUps is how often its call was looked for since it was parked.
	LookUps int
}

// Parked returns the callbacks that wait for their calls, the newest first: up to
// limit (1 to 1000), of those before the one with the ID after, or from the newest
// where that is 0.
func (c *Caller) Parked(ctx context.Context, after int64, limit int) ([]Parked, error) {
	if limit < 1 || limit > maxPage {
		return nil, fmt.Errorf("%w: limit: %d, use 1 to %d", ErrInvalid, limit, maxPage)
	}
	tasks, err := c.schedule.List(ctx, schedule.Filter{
		Queue: c.parkedQueue(), Status: schedule.Waiting, After: schedule.Task{ID: after}, Limit: limit,
	})
	if err != nil {
		return nil, fmt.Errorf("list parked callbacks: %w", err)
	}
	out := make([]Parked, 0, len(tasks))
	for _, t := range tasks {
		var p parked
		if err := json.Unmarshal(t.Payload, &p); err != nil {
			return nil, fmt.Errorf("list parked callbacks: number %d is damaged", t.ID)
		}
		out = append(out, Parked{
			ID: t.ID, Number: p.Number, Result: p.result(), Since: t.CreatedAt, Expires: t.CreatedAt.Add(c.cfg.ParkFor), LookUps: t.Attempts,
		})
	}
	return out, nil
}
