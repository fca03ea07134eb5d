package storetest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/internal/idemstore"
	"github.com/sluicegate/sluicegate/internal/idemstore/storetest"
)

type (
	row = idemstore.Row
	rec = idemstore.Record
)

type flaw struct {
	name   string
	caught string // by this case at least
	make   func() *flawed
}

// Each flaw is one that a real store could have, with a case that must catch it.
var flaws = []flaw{
	{"marks done before the effect", "a released record is claimed by the next", func() *flawed {
		return &flawed{claim: func(_, r row, _ *rec) row {
			if r.State == idemstore.Processing {
				r.State = idemstore.Done
			}
			return r
		}}
	}},
	{"does not compare tokens", "a stranger can neither extend, complete nor release", func() *flawed {
		return &flawed{token: func(r row, _ string) string { return r.Token }}
	}},
	{"a former owner still counts", "after a takeover the former owner can neither extend, complete nor release", func() *flawed {
		return &flawed{token: func(r row, token string) string {
			if token != "stranger" && token != "" && r.Attempt > 1 {
				return r.Token
			}
			return token
		}}
	}},
	{"a losing claim renews the lease", "a losing claim leaves the lease as it is", func() *flawed {
		return &flawed{claim: func(old, r row, got *rec) row {
			if got.Verdict == idemstore.Busy {
				r.LeaseUntil += int64(8 * time.Minute / time.Microsecond)
			}
			return r
		}}
	}},
	{"a losing claim renews the retention", "a losing claim does not keep a finished record alive", func() *flawed {
		return &flawed{claim: func(_, r row, got *rec) row {
			if got.Verdict == idemstore.Finished {
				r.ExpiresAt += int64(time.Hour / time.Microsecond)
			}
			return r
		}}
	}},
	{"is not atomic", "of many claims at the same time one wins", func() *flawed { return &flawed{gap: true} }},
	{"moves records without comparing", "of many redrives of one epoch one happens", func() *flawed { return &flawed{gap: true} }},
	{"forgets the attempt on release", "a release keeps the attempt number", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if r.State == idemstore.Released {
				r.Attempt = 0
			}
			return r
		}}
	}},
	{"takes over without counting", "after the lease the next claim takes over with the next attempt", func() *flawed {
		return &flawed{claim: func(old, r row, got *rec) row {
			if got.Verdict == idemstore.Takeover {
				r.Attempt, got.Attempt = old.Attempt, old.Attempt
			}
			return r
		}}
	}},
	{"calls a takeover a win", "after the lease the next claim takes over with the next attempt", func() *flawed {
		return &flawed{claim: func(_, r row, got *rec) row {
			if got.Verdict == idemstore.Takeover {
				got.Verdict = idemstore.Won
			}
			return r
		}}
	}},
	{"does not know its own token", "a claim repeated with its token finds itself at the same attempt", func() *flawed {
		return &flawed{claim: func(old, r row, got *rec) row {
			if got.Verdict == idemstore.Mine {
				got.Verdict = idemstore.Busy
				return old
			}
			return r
		}}
	}},
	{"never tells what is left", "a claim on a running record is busy and learns what is left of the lease", func() *flawed {
		return &flawed{claim: func(_, r row, got *rec) row { got.RetryIn = 0; return r }}
	}},
	{"does not compare fingerprints", "another fingerprint is a mismatch on a finished record", func() *flawed {
		return &flawed{asked: func(c idemstore.Claim) idemstore.Claim { c.Fingerprint = ""; return c }}
	}},
	{"makes nil of an empty result", "a duplicate receives the result byte by byte, nil and empty apart", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if len(r.Result) == 0 {
				r.Result = nil
			}
			return r
		}}
	}},
	{"takes results for text", "a duplicate receives the result byte by byte, nil and empty apart", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if r.Result != nil {
				r.Result = []byte(strings.ToValidUTF8(string(r.Result), "?"))
			}
			return r
		}}
	}},
	{"lets a second complete write", "completing again succeeds and keeps the first result", func() *flawed {
		return &flawed{write: func(old, r row) row {
			if old.State == idemstore.Done && r.State == idemstore.Done {
				r.Result = []byte("second")
			}
			return r
		}}
	}},
	{"never forgets", "a finished record protects for its retention, and is then forgotten", func() *flawed {
		return &flawed{write: func(_, r row) row { r.ExpiresAt = 0; return r }}
	}},
	{"forgets with the lease", "an unfinished record keeps its attempt for the retention, and is then forgotten", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if r.State == idemstore.Processing {
				r.ExpiresAt = r.LeaseUntil
			}
			return r
		}}
	}},
	{"keeps a finished record for the lease only", "a finished record outlives the terms of its claim", func() *flawed {
		return &flawed{write: func(old, r row) row {
			if r.State == idemstore.Done {
				r.ExpiresAt = old.ExpiresAt
			}
			return r
		}}
	}},
	{"extends nothing", "an extended lease keeps others away, and ends", func() *flawed {
		return &flawed{write: func(old, r row) row {
			if old.State == idemstore.Processing && r.State == idemstore.Processing && old.Token == r.Token {
				return old
			}
			return r
		}}
	}},
	{"extends the lease but not the record", "an extended record lives on past its first retention", func() *flawed {
		return &flawed{write: func(old, r row) row {
			if old.State == idemstore.Processing && r.State == idemstore.Processing && old.Token == r.Token {
				r.ExpiresAt = old.ExpiresAt
			}
			return r
		}}
	}},
	{"refuses a late complete", "a lease that ended can be extended and completed while nobody has claimed", func() *flawed {
		s := &flawed{}
		s.token = func(r row, token string) string {
			if r.State == idemstore.Processing && r.LeaseUntil <= s.now() {
				return ""
			}
			return token
		}
		return s
	}},
	{"lets a dead record run", "a parked or dead record does not run", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if r.State == idemstore.Dead || r.State == idemstore.Parked {
				r.State = idemstore.Released
			}
			return r
		}}
	}},
	{"moves a running record", "a running record is not moved before its lease ends", func() *flawed { return &flawed{leaseless: true} }},
	{"ignores the epoch", "a transition of a former epoch is refused", func() *flawed {
		return &flawed{moved: func(t idemstore.Transition, r row) idemstore.Transition { t.Epoch = r.Epoch; return t }}
	}},
	{"never begins an epoch", "a redriven record runs, and is done then", func() *flawed {
		return &flawed{moved: func(t idemstore.Transition, _ row) idemstore.Transition { t.NextEpoch = false; return t }}
	}},
	{"makes a record of a transition that may not", "a missing record is moved only where that is allowed", func() *flawed {
		return &flawed{moved: func(t idemstore.Transition, _ row) idemstore.Transition {
			t.From = append(slices.Clone(t.From), idemstore.Absent)
			return t
		}}
	}},
	{"joins the parts of a key", "keys that look alike are different records", func() *flawed {
		return &flawed{key: func(k idemstore.Key) any { return k.Handler + ":" + k.ID }}
	}},
	{"ignores case", "keys that look alike are different records", func() *flawed {
		return &flawed{key: func(k idemstore.Key) any { k.ID = strings.ToLower(k.ID); return k }}
	}},
	{"cuts long keys", "keys that look alike are different records", func() *flawed {
		return &flawed{key: func(k idemstore.Key) any {
			k.ID = k.ID[:min(len(k.ID), 60)] // all hashes begin alike to a fixed width
			if strings.HasPrefix(k.ID, "sha256:") {
				k.ID = "sha256:"
			}
			return k
		}}
	}},
	{"ignores the handler", "keys that look alike are different records", func() *flawed {
		return &flawed{key: func(k idemstore.Key) any { return k.ID }}
	}},
	{"ignores what its caller has counted", "a claim gets at least the attempt that its caller has counted", func() *flawed {
		return &flawed{asked: func(c idemstore.Claim) idemstore.Claim { c.Attempt = 0; return c }}
	}},
	{"says yes while it is away", "a store that is away says so and changes nothing", func() *flawed { return &flawed{silentAway: true} }},
}

func TestTheSuiteCatchesEveryFlaw(t *testing.T) {
	for _, f := range slices.Concat(flaws, resumeFlaws) {
		t.Run(f.name, func(t *testing.T) {
			failing := storetest.Failing(t, harness(f.make), f.caught)
			if !slices.Contains(failing, f.caught) {
				t.Fatalf("the case %q passes", f.caught)
			}
		})
	}
}

func TestWhatADriverLacksIsListedByName(t *testing.T) {
	if got := storetest.Skipped(storetest.Harness{Lacks: []storetest.Feature{storetest.Outage}}); len(got) != 1 {
		t.Errorf("without an outage, %q are skipped; want one", got)
	}
	skipped := storetest.Skipped(storetest.Harness{Lacks: storetest.TxLacks})
	want := strings.Split(strings.TrimSpace(txSkips), "\n")
	slices.Sort(skipped)
	slices.Sort(want)
	if !slices.Equal(skipped, want) {
		t.Errorf("in the handler's transaction these are skipped:\n%s", strings.Join(skipped, "\n"))
	}
}

// The transaction is the claim: it has no lease, leaves nothing after a rollback,
// and nobody settles it twice.
const txSkips = `
a duplicate does not run while a record is resumed, nor after the lease of that
a resumed record is its owner's: claimed again with the token, extended and completed by no other
a resumed record is not moved before its lease ends, and then as a parked or a running one
resuming counts the attempts on
what is not parked is resumed as it is claimed, and parked by a release
a claim on a running record is busy and learns what is left of the lease
a claim repeated with its token after the lease is its own again and renewed
a claim repeated with its token finds itself at the same attempt
a claim without a token or a lease, or with a long token, is refused
a finished record outlives the terms of its claim
a lease that ended can be extended and completed while nobody has claimed
a losing claim leaves the lease as it is
a record without a fingerprint takes the first that comes
a redrive begins the next epoch and runs again with the next attempt
a release keeps the attempt number
a released record keeps its attempt number for the retention only
a running record is not moved before its lease ends
a store that is away says so and changes nothing
after a takeover the former owner can neither extend, complete nor release
after the lease the next claim takes over with the next attempt
an extended lease keeps others away, and ends
an extended record lives on past its first retention
an extension does not shorten a lease
an unfinished record keeps its attempt for the retention, and is then forgotten
another fingerprint is a mismatch on a running or released record and changes nothing
completing again succeeds and keeps the first result
of many claims at the same time on an ended lease one takes over
`
