package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicegate/sluicegate/handlers/notify"
)

// heal sends again what was stopped, and enables the merchant who had moved.
func (s *story) heal(ctx context.Context) (err error) {
	s.Resent, err = s.notifier.ResendWindow(ctx, notify.Window{Target: "dead", From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}, "operator")
	if err != nil {
		return err
	}
	s.merchants.of("moved").mend()
	if err := s.notifier.Enable(ctx, "moved", "operator"); err != nil {
		return err
	}
	stop := s.running(ctx)
	defer func() { err = errors.Join(err, stop()) }()
	err = s.until(ctx, func() (bool, error) {
		all, err := s.total(ctx)
		s.Delivered = all[notify.Delivered]
		return all[notify.Delivered]+all[notify.Confirmed] == s.Committed, err
	})
	fmt.Fprintf(s.out, "%d are sent again, the merchant who had moved is enabled; %d are delivered\n", s.Resent, s.Delivered)
	return err
}

// settle compares what is committed with what the merchants know.
func (s *story) settle(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "SELECT id, merchant FROM payment")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // Err has told of what went wrong
	committed := map[string]bool{}
	for rows.Next() {
		var id, name string
		if err := rows.Scan(&id, &name); err != nil {
			return err
		}
		committed[id] = true
		if _, _, known := s.merchants.of(name).state(); !known[id] {
			s.Lost++
		}
	}
	for _, m := range s.merchants {
		posts, bad, known := m.state()
		s.Posts += posts
		s.BadSignatures += bad
		for id := range known {
			if !committed[id] {
				s.Phantom++
			}
		}
	}
	s.Alerts = int(s.alerts.Load())
	s.OK = s.Lost == 0 && s.Phantom == 0 && s.BadSignatures == 0 && len(committed) == s.Committed &&
		s.Delivered+s.Confirmed == s.Committed && s.Stopped == each && s.Alerts == s.Stopped && s.Held == each &&
		s.Confirmed > 0 && s.Resent == s.Stopped-s.Confirmed
	return rows.Err()
}

// total counts the notifications of all merchants.
func (s *story) total(ctx context.Context) (map[notify.Status]int, error) {
	all := map[notify.Status]int{}
	for _, m := range s.merchants {
		of, err := s.notifier.Counts(ctx, m.name)
		if err != nil {
			return nil, err
		}
		for status, n := range of {
			all[status] += int(n)
		}
	}
	return all, nil
}

// until waits for something to be so.
func (s *story) until(ctx context.Context, so func() (bool, error)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := so(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (all merchants) posts() (n int) {
	for _, m := range all {
		posts, _, _ := m.state()
		n += posts
	}
	return n
}
