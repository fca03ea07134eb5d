// Package partner fakes those that the shop works with, as badly as real ones
// behave: a merchant that is away for a while, a courier that calls back too early, too
// late, twice, or not at all. They keep what they know in memory,
// so that a run can compare it with what the shop says.
package partner
