//go:build race

package forwarder_test

// raceDetector says that the tests run under the race detector, which makes the
// pure Go SQLite many times slower.
const raceDetector = true
