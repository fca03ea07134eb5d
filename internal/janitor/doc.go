// Package janitor removes what is older than its retention, a little at a time.
//
// A Sweep knows how to remove a few rows. Drain calls it until there is no more,
// and rests after each call for a multiple of what the call took, so that
// cleaning takes a bounded part of a database however much there is to clean,
// and no lock is held for longer than a few rows take.
//
// A Janitor runs several sweeps, one process at a time: the processes that share
// tables agree by a lease on who cleans. It only saves work: two that clean at
// once remove nothing that one would not.
package janitor
