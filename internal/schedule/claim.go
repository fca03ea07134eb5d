package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluicegate/sluicegate/internal/dbtx"
	"github.com/sluicegate/sluicegate/internal/sqltable"
)

// ClaimRequest asks for tasks that are due.
type ClaimRequest struct {
	// Queue is required.
	Queue string
	// Targets are those to claim from. Empty: any.
	Targets []string
	// Not are targets to pass over.
	Not []string
	// PerTarget bounds how many of one target are claimed, together with the
	// Running ones. Default: no bound.
	PerTarget int
	// Running are the tasks of each target that are being worked on; targets
	// with fewer come first.
	Running map[string]int
	// Limit is how many to claim at most, 1 to 1000. Required.
	Limit int
	// Lease is how long they are the caller's unless it Extends it, at least 1 ms.
	// Required.
	Lease time.Duration
}

const (
	maxLimit = 1000
	// window is how many due tasks a claim looks at, at least: those that
	// others are about to take are passed over.
	window = 256
	// branches is how many targets are looked at one by one.
	branches = 64
)

func (r ClaimRequest) validate() error {
	errs := names("ClaimRequest", r.Queue, "")
	if r.Limit < 1 || r.Limit > maxLimit {
		errs = append(errs, invalid("ClaimRequest.Limit: %d, use 1 to %d", r.Limit, maxLimit))
	}
	if r.Lease < time.Millisecond || r.Lease > maxDelay {
		errs = append(errs, invalid("ClaimRequest.Lease: %v, use at least 1 ms", r.Lease))
	}
	if r.PerTarget < 0 {
		errs = append(errs, invalid("ClaimRequest.PerTarget: %d, must not be negative", r.PerTarget))
	}
	return errors.Join(errs...)
}

// open reports whether tasks of target may be claimed.
func (r ClaimRequest) open(target string) bool {
	return (r.PerTarget == 0 || r.Running[target] < r.PerTarget) && !slices.Contains(r.Not, target)
}

func (r ClaimRequest) window() int { return max(window, 4*r.Limit) }

// Claim takes up to Limit tasks that are due. Targets take turns, and the tasks of a
// target come in the order in which they were due. Each is the caller's until its
// lease ends, or it settles or releases it; who claims at the same time gets others.
// No task due is an empty answer. An error leaves at worst tasks claimed that
// become free with the lease.
func (s *Schedule) Claim(ctx context.Context, r ClaimRequest) ([]Task, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	found, err := s.look(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("look for due tasks: %w", s.t.Mark(ctx, err))
	}
	var (
		got  []Task
		rest = fair(found, r.Running)
		free = room{perTarget: r.PerTarget, used: maps.Clone(r.Running)}
	)
	if free.used == nil {
		free.used = map[string]int{}
	}
	for len(got) < r.Limit {
		var chunk []candidate
		if chunk, rest = free.pick(rest, r.Limit-len(got)); len(chunk) == 0 {
			break
		}
		tasks, err := s.take(ctx, r.Lease, chunk)
		if err != nil {
			if len(got) > 0 {
				break // who asks again hears of it, and these are not left to their lease
			}
			return nil, fmt.Errorf("claim tasks: %w", err)
		}
		for _, t := range tasks {
			free.used[t.Target]++
		}
		got = append(got, tasks...)
	}
	return got, nil
}

// look returns due tasks that may be claimed: all, where they are few; else some of
// every target, so that a target with many cannot hide another.
func (s *Schedule) look(ctx context.Context, r ClaimRequest) ([]candidate, error) {
	if len(r.Targets) > 0 {
		targets := slices.Compact(slices.Sorted(slices.Values(r.Targets)))
		return s.lookAt(ctx, r, slices.DeleteFunc(targets, func(t string) bool { return !r.open(t) }))
	}
	found, err := s.candidates(ctx, s.q.due, r.Queue, r.window())
	if err != nil {
		return nil, err
	}
	all := len(found) < r.window()
	found = slices.DeleteFunc(found, func(c candidate) bool { return !r.open(c.target) })
	if all || r.varied(found) {
		return found, nil
	}
	targets, err := s.dueTargets(ctx, r)
	if err != nil {
		return nil, err
	}
	return s.lookAt(ctx, r, targets)
}

// varied reports whether as many targets as there are tasks to claim have
// something due and nothing at work: then none of those that were not seen,
// whose tasks are due later, comes before them.
func (r ClaimRequest) varied(found []candidate) bool {
	idle := make(map[string]bool, r.Limit)
	for _, c := range found {
		if r.Running[c.target] == 0 {
			idle[c.target] = true
		}
	}
	return len(idle) >= r.Limit
}

// dueTargets returns the open targets that have something due, at most as many as
// are looked at one by one: those with the fewest at work, and of these the
// longest due.
func (s *Schedule) dueTargets(ctx context.Context, r ClaimRequest) ([]string, error) {
	args := []any{r.Queue, r.Queue, r.Queue}
	if s.q.lock != "" {
		args = args[:1]
	}
	found, err := s.scanTargets(ctx, s.q.targets, args...)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(c candidate) bool { return !r.open(c.target) })
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(r.Running[a.target], r.Running[b.target]), cmp.Compare(a.at, b.at))
	})
	targets := make([]string, 0, branches)
	for _, c := range found[:min(len(found), branches)] {
		targets = append(targets, c.target)
	}
	return targets, nil
}

// lookAt returns the first due tasks of each of the targets.
func (s *Schedule) lookAt(ctx context.Context, r ClaimRequest, targets []string) ([]candidate, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	each := max(1, r.window()/len(targets))
	var all []candidate
	for some := range slices.Chunk(targets, branches) {
		args := make([]any, 0, 3*len(some))
		for _, t := range some {
			args = append(args, r.Queue, t, each)
		}
		query := union(func(i int) string { return fmt.Sprintf(s.q.dueOfTarget, i) }, len(some))
		found, err := s.candidates(ctx, query, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s *Schedule) candidates(ctx context.Context, query string, args ...any) ([]candidate, error) {
	return sqltable.Collect(ctx, &s.t, s.t.DB, query, args, func(row dbtx.Row) (c candidate, err error) {
		err = row.Scan(&c.id, &c.target, &c.at)
		return c, err
	})
}

func (s *Schedule) scanTargets(ctx context.Context, query string, args ...any) ([]candidate, error) {
	return sqltable.Collect(ctx, &s.t, s.t.DB, query, args, func(row dbtx.Row) (c candidate, err error) {
		err = row.Scan(&c.target, &c.at)
		return c, err
	})
}
