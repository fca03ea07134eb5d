package outage

import (
	"reflect"
	"strings"
)

// The clients' own words for a server that is away, where no network error is
// within: constants of sarama and nats.go. Our brokers mark their errors
// themselves; this is for handlers that use a client directly.
var words = map[string]bool{
	"kafka: client has run out of available brokers to talk to": true,
	"kafka: broker not connected":                               true,
	"nats: no servers available for connection":                 true,
	"nats: server is disconnected":                              true,
	"nats: no responders available for request":                 true,
}

// A Redis server that is starting, or whose cluster or master is away.
var redisWords = []string{"LOADING ", "CLUSTERDOWN ", "MASTERDOWN "}

const amqpConnectionForced = 320 // by an operator, or by the server's end

// broker judges err itself by its type's package and its text, so that no
// client is linked.
func broker(err error) bool {
	v := reflect.ValueOf(err)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		return false
	}
	switch path := v.Type().PkgPath(); {
	case strings.Contains(path, "redis"):
		text := err.Error()
		for _, w := range redisWords {
			if strings.HasPrefix(text, w) {
				return true
			}
		}
	case strings.HasSuffix(path, "amqp091-go") && v.Kind() == reflect.Struct:
		if code := v.FieldByName("Code"); code.IsValid() && code.CanInt() && code.Int() == amqpConnectionForced {
			return true
		}
		return strings.Contains(err.Error(), "channel/connection is not open")
	case path == "errors":
		return words[err.Error()]
	}
	return false
}
