//go:build !race

package forwarder_test

const raceDetector = false
