// Package kafkatest runs an Apache Kafka of a test's own: one that it may stop, kill and start
// again without harm to others who use the shared server.
package kafkatest
