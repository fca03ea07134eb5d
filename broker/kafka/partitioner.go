package kafka

import (
	"math/rand/v2"

	"github.com/IBM/sarama"
)

// murmur2Partitioner places a key where Kafka's Java clients place it, so that
// topics written by both keep a key in one partition. Records without a key
// go anywhere.
type murmur2Partitioner struct{}

func newMurmur2Partitioner(string) sarama.Partitioner { return murmur2Partitioner{} }

// Partition chooses the partition of msg.
func (murmur2Partitioner) Partition(msg *sarama.ProducerMessage, partitions int32) (int32, error) {
	if msg.Key == nil {
		return rand.Int32N(partitions), nil
	}
	key, err := msg.Key.Encode()
	if err != nil {
		return 0, err
	}
	return int32(murmur2(key)&0x7fffffff) % partitions, nil
}

// RequiresConsistency asks for all partitions, not only those with a leader
// right now: a key must not move while a broker is away.
func (murmur2Partitioner) RequiresConsistency() bool { return true }

// murmur2 is MurmurHash2 with the seed of Kafka's Java clients.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(data)) //nolint:gosec // a record is far smaller
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> 24
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
