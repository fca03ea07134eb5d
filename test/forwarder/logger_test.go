package forwarder_test

import "github.com/ThreeDotsLabs/watermill"

// nopLogger silences Watermill.
type nopLogger struct{ watermill.NopLogger }

func (l nopLogger) With(watermill.LogFields) watermill.LoggerAdapter { return l }
