package chain

import (
	"context"
	"os"
	"syscall"
	"testing"
)

func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		ours, stock, bare, err := Memory(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(ours, "ours/s")
		b.ReportMetric(stock, "stock/s")
		b.ReportMetric(bare, "bare/s")
		b.ReportMetric(ours/stock, "ratio")
	}
}

func BenchmarkSubjects(b *testing.B) {
	for name, f := range map[string]func(context.Context) (float64, error){"ours": memoryOurs, "stock": memoryStock, "bare": memoryBare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				before := cpu(b)
				v, err := f(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(v, "msg/s")
				// Another process on the machine does not change this one.
				b.ReportMetric((cpu(b)-before)/memoryMessages, "cpu-µs/msg")
			}
		})
	}
}

func BenchmarkBatch(b *testing.B) {
	url := os.Getenv("POSTGRES_URL")
	if url == "" {
		b.Skip("POSTGRES_URL is not set")
	}
	for b.Loop() {
		batch, single, err := Batch(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(batch, "batch/s")
		b.ReportMetric(single, "single/s")
		b.ReportMetric(batch/single, "ratio")
	}
}

func BenchmarkRedis(b *testing.B) {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		b.Skip("REDIS_URL is not set")
	}
	for b.Loop() {
		ours, plain, err := Redis(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(ours, "ours/s")
		b.ReportMetric(plain, "plain/s")
		b.ReportMetric(ours/plain, "ratio")
	}
}

// cpu is the processor time that this process has had, in microseconds.
func cpu(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e3
}
