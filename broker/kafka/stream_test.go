package kafka

import (
	"errors"
	"math"
	"testing"

	"github.com/IBM/sarama"
)

// flaky is a client that cannot tell of a topic the first time it is asked.
type flaky struct {
	sarama.Client
	asked int
}

func (f *flaky) Partitions(string) ([]int32, error) {
	if f.asked++; f.asked == 1 {
		return nil, errors.New("no broker answers")
	}
	return []int32{0}, nil
}

func TestNothingOfATopicIsSentBehindAMessageWhosePartitionIsNotKnown(t *testing.T) {
	p := &producer{client: &flaky{}, hash: javaHash}
	items := []item{
		{index: 0, topic: "orders", record: &sarama.Record{Key: []byte("k")}},
		{index: 1, topic: "orders", record: &sarama.Record{Key: []byte("k")}},
	}
	results := make([]error, len(items))
	if s := p.streams(items, results); len(s) != 0 {
		t.Errorf("%d messages are to be sent behind one that is not", len(s[0].items))
	}
	for i, err := range results {
		if err == nil {
			t.Errorf("message %d has no error", i)
		}
	}
}

func TestAMessageLargerThanARequestUsuallyIsHasOneOfItsOwn(t *testing.T) {
	config := sarama.NewConfig()
	config.Producer.MaxMessageBytes = 100_000_000 // the most that the URL can ask for
	p := &producer{config: config, sequence: map[place]int32{}}
	small := &stream{place: place{"orders", 0}, items: []item{{record: &sarama.Record{}, size: 1000}}}
	large := &stream{place: place{"orders", 1}, items: []item{{record: &sarama.Record{}, size: maxRequestBytes + 1}}}

	var both request
	both.add(p, small)
	both.add(p, large)
	if len(both.streams) != 1 || large.under != 0 {
		t.Error("it went with another one")
	}
	var alone request
	alone.add(p, large)
	if len(alone.streams) != 1 || large.under != 1 {
		t.Error("no request takes it, however often it is tried")
	}
}

func TestTheNumbersOfAPartitionsRecordsBeginAgainAfterTheHighest(t *testing.T) {
	orders := place{"orders", 0}
	p := &producer{sequence: map[place]int32{orders: math.MaxInt32 - 1}}
	for _, c := range []struct {
		stored int
		want   int32
	}{{1, math.MaxInt32}, {3, 2}} {
		s := &stream{place: orders, items: make([]item, c.stored), under: c.stored}
		response := &sarama.ProduceResponse{}
		response.AddTopicPartition(orders.topic, orders.partition, sarama.ErrNoError)
		if !p.judge(s, &request{response: response}) {
			t.Fatal("an acknowledgement was taken for a refusal")
		}
		if got := p.sequence[orders]; got != c.want {
			t.Errorf("the next record has number %d, want %d", got, c.want)
		}
	}
}
