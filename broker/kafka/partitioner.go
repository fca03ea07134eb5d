package kafka

import "hash/fnv"

// The hashes of keys. Java's is where Kafka's own clients place a key, so that
// topics written by both keep a key in one partition; sarama's is that of
// plain watermill-kafka.
func javaHash(key []byte) int32 { return int32(murmur2(key) & 0x7fffffff) }

func saramaHash(key []byte) int32 {
	h := fnv.New32a()
	_, _ = h.Write(key)     // never fails
	return int32(h.Sum32()) //nolint:gosec // wraps, as theirs does
}

// partition returns where a record goes: by its key among all partitions, those
// without a leader right now too, since a key must not move while a broker is
// away. Records without a key of one call stay together, anywhere.
func (p *producer) partition(key []byte, anywhere uint32, partitions int32) int32 {
	if key == nil {
		return int32(anywhere % uint32(partitions)) //nolint:gosec // less than partitions
	}
	if n := p.hash(key) % partitions; n >= 0 {
		return n
	}
	return -(p.hash(key) % partitions)
}

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
