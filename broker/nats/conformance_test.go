package nats_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluicegate/sluicegate/broker"
	"github.com/sluicegate/sluicegate/broker/brokertest"
	"github.com/sluicegate/sluicegate/internal/header"
)

func TestNATSKeepsItsGuarantees(t *testing.T) {
	for _, params := range []string{"order=key&nack_delay_max=200ms", "order=none&nack_delay_max=200ms&atomic=false&stream=ALL&subjects=*&ack=sync"} {
		t.Run(params, func(t *testing.T) {
			s := startServer(t, "")
			order := broker.OrderByKey
			if strings.Contains(params, "order=none") {
				order = broker.OrderNone
			}
			brokertest.Run(t, brokertest.Harness{
				URL: func(brokertest.T) string { return s.url(params) },
				Declared: broker.Capabilities{
					Driver: "nats", Order: order, Groups: true, KeyConcurrency: true, OldMessages: true,
					Persistent: true, SplitProcesses: true,
					RedeliveryHorizon: 7 * 24 * time.Hour, MaxMessageBytes: 1_000_000,
				},
				Foreign: func(t brokertest.T, topic string, key, value []byte, headers []brokertest.Header) {
					makeTopic(t, s.url(params), topic)
					foreign(t, s.addr, topic, key, value, headers)
				},
				MinNackDelay: 50 * time.Millisecond,
			})
		})
	}
}

// makeTopic makes the stream of topic, as a service that has started has.
func makeTopic(t brokertest.T, url, topic string) {
	b, err := broker.Open(t.Context(), url, broker.Config{ConsumerGroup: "any"})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer b.Close()
	if err := b.SubscribeInitialize(topic); err != nil {
		t.Fatalf("make topic: %v", err)
	}
}

// foreign writes a message byte for byte, as a program may that has no scruples.
func foreign(t brokertest.T, addr, topic string, key, value []byte, headers []brokertest.Header) {
	if key != nil {
		headers = append(headers, brokertest.Header{Key: []byte(header.Key), Value: key})
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("foreign client: %v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var out bytes.Buffer
	out.WriteString("CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\nSUB acks 1\r\n")
	block := []byte("NATS/1.0\r\n")
	for _, h := range headers {
		block = fmt.Appendf(block, "%s: %s\r\n", h.Key, h.Value)
	}
	block = append(block, "\r\n"...)
	fmt.Fprintf(&out, "HPUB %s acks %d %d\r\n%s%s\r\n", topic, len(block), len(block)+len(value), block, value)
	if _, err := conn.Write(out.Bytes()); err != nil {
		t.Fatalf("foreign message: %v", err)
	}
	for in := bufio.NewReader(conn); ; {
		line, err := in.ReadString('\n')
		if err != nil || strings.HasPrefix(line, "-ERR") || strings.Contains(line, "error") {
			t.Fatalf("foreign message: %v %s", err, line)
		}
		if strings.Contains(line, `"seq":`) {
			return
		}
	}
}
