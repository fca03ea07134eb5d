package storetest_test

import "github.com/sluicegate/sluicegate/internal/idemstore"

var resumeFlaws = []flaw{
	{"resumes nothing", "a parked record is won by who resumes it, and is done then", func() *flawed {
		return &flawed{asked: func(c idemstore.Claim) idemstore.Claim { c.Resume = false; return c }}
	}},
	{"resumes for everybody", "a parked record is won by who resumes it, and is done then", func() *flawed {
		return &flawed{asked: func(c idemstore.Claim) idemstore.Claim { c.Resume = true; return c }}
	}},
	{"resumes the dead", "a resumed record that is released is parked again", func() *flawed {
		return &flawed{claim: func(old, r row, got *rec) row {
			if old.State == idemstore.Dead {
				got.Verdict = idemstore.Won
			}
			return r
		}}
	}},
	{"releases what was parked", "a resumed record that is released is parked again", func() *flawed {
		return &flawed{write: func(old, r row) row {
			if old.State == idemstore.Resumed && r.State == idemstore.Parked {
				r.State = idemstore.Released
			}
			return r
		}}
	}},
	{"forgets that it resumed", "a duplicate does not run while a record is resumed, nor after the lease of that", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if r.State == idemstore.Resumed {
				r.State = idemstore.Processing
			}
			return r
		}}
	}},
	{"resumes without counting", "resuming counts the attempts on", func() *flawed {
		return &flawed{claim: func(old, r row, got *rec) row {
			if r.State == idemstore.Resumed {
				r.Attempt = max(old.Attempt, 1)
				got.Attempt = r.Attempt
			}
			return r
		}}
	}},
	{"resumes side by side", "a duplicate does not run while a record is resumed, nor after the lease of that", func() *flawed {
		return &flawed{claim: func(old, r row, got *rec) row {
			if old.State == idemstore.Resumed && got.Verdict == idemstore.Busy {
				got.Verdict = idemstore.Won
			}
			return r
		}}
	}},
	{"resumes without comparing", "of many that resume a parked record one wins", func() *flawed { return &flawed{gap: true} }},
	{"forgets a resumed record with its lease", "a parked record does not live shorter for having been resumed", func() *flawed {
		return &flawed{write: func(_, r row) row {
			if r.State == idemstore.Resumed {
				r.ExpiresAt = r.LeaseUntil
			}
			return r
		}}
	}},
	{"moves what is resumed", "a resumed record is not moved before its lease ends, and then as a parked or a running one", func() *flawed { return &flawed{leaseless: true} }},
}
