// Drives sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"logbrook/clients/program"
)

var brokers = []string{program.Brokers}

var codecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	return c
}

func producer(c *sarama.Config) (sarama.SyncProducer, error) {
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Flush.Frequency = 50 * time.Millisecond
	if c.Producer.Idempotent {
		c.Net.MaxOpenRequests = 1
	}
	return sarama.NewSyncProducer(brokers, c)
}

func send(writer sarama.SyncProducer, w program.Words) error {
	header := sarama.RecordHeader{Key: []byte(program.HeaderKey), Value: []byte(program.HeaderValue)}
	var messages []*sarama.ProducerMessage
	for _, each := range w.Records() {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: w["topic"], Key: sarama.StringEncoder(each.Key), Value: sarama.StringEncoder(each.Value),
			Headers: []sarama.RecordHeader{header},
		})
	}
	return writer.SendMessages(messages)
}

func produce(_ context.Context, w program.Words) error {
	c := config()
	c.Producer.Compression = codecs[w["codec"]]
	c.Producer.Idempotent = w["idempotent"] == "1"
	writer, err := producer(c)
	if err != nil {
		return err
	}
	return errors.Join(send(writer, w), writer.Close())
}

func transact(_ context.Context, w program.Words) error {
	c := config()
	c.Producer.Idempotent = true
	c.Producer.Transaction.ID = w["id"]
	writer, err := producer(c)
	if err != nil {
		return err
	}
	end := writer.AbortTxn
	if w["end"] == "commit" {
		end = writer.CommitTxn
	}
	if err = writer.BeginTxn(); err == nil {
		err = send(writer, w)
	}
	if err == nil {
		err = end()
	}
	return errors.Join(err, writer.Close())
}

// handler is told of the partitions of a generation.
type handler struct{ member *program.Member }

func (handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h handler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		h.member.Read(message.Key, message.Value, message.Headers[0].Value)
		session.MarkMessage(message, "")
		session.Commit()
	}
	return nil
}

func join(ctx context.Context, w program.Words, member *program.Member) (func(), error) {
	c := config()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	reader, err := sarama.NewConsumerGroup(brokers, w["group"], c)
	if err != nil {
		return nil, err
	}
	return func() {
		defer reader.Close()
		for ctx.Err() == nil {
			_ = reader.Consume(ctx, []string{w["topic"]}, handler{member})
		}
	}, nil
}

func verbs(client sarama.Client, admin sarama.ClusterAdmin) map[string]program.Verb {
	return map[string]program.Verb{
		"produce":  program.Done(produce),
		"transact": program.Done(transact),
		"metadata": func(_ context.Context, w program.Words) (program.Words, error) {
			topics, err := admin.DescribeTopics([]string{w["topic"]})
			if err != nil {
				return nil, err
			}
			return program.Words{"partitions": strconv.Itoa(len(topics[0].Partitions))}, nil
		},
		"create": program.Done(func(_ context.Context, w program.Words) error {
			detail := &sarama.TopicDetail{NumPartitions: int32(w.Number("partitions")), ReplicationFactor: 1}
			return admin.CreateTopic(w["topic"], detail, false)
		}),
		"alter": program.Done(func(_ context.Context, w program.Words) error {
			value := w["value"]
			entry := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
			entries := map[string]sarama.IncrementalAlterConfigsEntry{w["name"]: entry}
			return admin.IncrementalAlterConfig(sarama.TopicResource, w["topic"], entries, false)
		}),
		"describe": func(_ context.Context, w program.Words) (program.Words, error) {
			names := []string{w["name"]}
			entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: w["topic"], ConfigNames: names})
			if err != nil || len(entries) != 1 {
				return nil, fmt.Errorf("%d settings: %w", len(entries), err)
			}
			return program.Words{"value": entries[0].Value}, nil
		},
		"delete": program.Done(func(_ context.Context, w program.Words) error { return admin.DeleteTopic(w["topic"]) }),
		"offset": func(_ context.Context, w program.Words) (program.Words, error) {
			found, err := client.GetOffset(w["topic"], 0, w.Number("time"))
			return program.Words{"offset": strconv.FormatInt(found, 10)}, err
		},
	}
}

func main() {
	client, err := sarama.NewClient(brokers, config())
	if err != nil {
		panic(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		panic(err)
	}
	program.Serve("github.com/IBM/sarama", join, verbs(client, admin))
}
