package forwarder

import "testing"

// What the relay does to each row after reading it.
func BenchmarkDecode(b *testing.B) {
	m := record{
		uuid: "0192f0c0-0000-7000-8000-000000000000", topic: "orders.placed", key: "order-1", payload: make([]byte, 256),
		headers: `{"correlation_id":"0192f0c0-0000-7000-8000-000000000000","event_type":"orders.placed","tenant":"tenant-7"}`,
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.decode(); err != nil {
			b.Fatal(err)
		}
	}
}
