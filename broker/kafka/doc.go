// Package kafka registers the scheme kafka:// : Apache Kafka, by sarama and in
// the wire format of watermill-kafka, so that plain Watermill services can be
// on the other side.
//
//	kafka://h1:9092,h2:9092?consumer_group=stock
//	kafka://user:password@h1:9093?tls=true&sasl=scram-sha-512
package kafka
