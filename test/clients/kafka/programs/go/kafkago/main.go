// Drives kafka-go.
package main

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"logbrook/clients/program"
)

var client = &kafka.Client{Addr: kafka.TCP(program.Brokers), Timeout: program.Timeout}

var codecs = map[string]kafka.Compression{
	"none":   0,
	"gzip":   kafka.Gzip,
	"snappy": kafka.Snappy,
	"lz4":    kafka.Lz4,
	"zstd":   kafka.Zstd,
}

func produce(ctx context.Context, w program.Words) error {
	// Of its own: it keeps what topics there are for 6 s.
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	writer := &kafka.Writer{
		Addr: client.Addr, Topic: w["topic"], Balancer: &kafka.Hash{}, Compression: codecs[w["codec"]],
		RequiredAcks: kafka.RequireAll, BatchTimeout: 50 * time.Millisecond, Transport: transport,
	}
	headers := []kafka.Header{{Key: program.HeaderKey, Value: []byte(program.HeaderValue)}}
	var messages []kafka.Message
	for _, each := range w.Records() {
		messages = append(messages, kafka.Message{Key: []byte(each.Key), Value: []byte(each.Value), Headers: headers})
	}
	return errors.Join(writer.WriteMessages(ctx, messages...), writer.Close())
}

func join(ctx context.Context, w program.Words, member *program.Member) (func(), error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{program.Brokers}, GroupID: w["group"], Topic: w["topic"], StartOffset: kafka.FirstOffset,
		IsolationLevel: kafka.ReadCommitted, HeartbeatInterval: 500 * time.Millisecond, MaxWait: 500 * time.Millisecond,
	})
	return func() {
		defer reader.Close()
		for {
			message, err := reader.FetchMessage(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				member.Read(message.Key, message.Value, message.Headers[0].Value)
				_ = reader.CommitMessages(ctx, message)
			}
		}
	}, nil
}

func metadata(ctx context.Context, w program.Words) (program.Words, error) {
	answer, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{w["topic"]}})
	if err != nil {
		return nil, err
	}
	return program.Words{"partitions": strconv.Itoa(len(answer.Topics[0].Partitions))}, answer.Topics[0].Error
}

func create(ctx context.Context, w program.Words) error {
	topic := kafka.TopicConfig{Topic: w["topic"], NumPartitions: int(w.Number("partitions")), ReplicationFactor: 1}
	answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err != nil {
		return err
	}
	return answer.Errors[w["topic"]]
}

func alter(ctx context.Context, w program.Words) error {
	answer, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: w["topic"],
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{
				{Name: w["name"], Value: w["value"], ConfigOperation: kafka.ConfigOperationSet},
			},
		}},
	})
	if err != nil {
		return err
	}
	return answer.Resources[0].Error
}

func describe(ctx context.Context, w program.Words) (program.Words, error) {
	answer, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: w["topic"], ConfigNames: []string{w["name"]}},
		},
	})
	if err != nil {
		return nil, err
	}
	if found := answer.Resources[0]; found.Error != nil {
		return nil, found.Error
	}
	return program.Words{"value": answer.Resources[0].ConfigEntries[0].ConfigValue}, nil
}

func remove(ctx context.Context, w program.Words) error {
	answer, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{w["topic"]}})
	if err != nil {
		return err
	}
	return answer.Errors[w["topic"]]
}

func offset(ctx context.Context, w program.Words) (program.Words, error) {
	asked := []kafka.OffsetRequest{kafka.TimeOffsetOf(0, time.UnixMilli(w.Number("time")))}
	answer, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{w["topic"]: asked}})
	if err != nil {
		return nil, err
	}
	found := answer.Topics[w["topic"]][0]
	for each := range found.Offsets {
		return program.Words{"offset": strconv.FormatInt(each, 10)}, found.Error
	}
	return nil, errors.Join(errors.New("no offset"), found.Error)
}

func main() {
	program.Serve("github.com/segmentio/kafka-go", join, map[string]program.Verb{
		"produce":  program.Done(produce),
		"metadata": metadata,
		"create":   program.Done(create),
		"alter":    program.Done(alter),
		"describe": describe,
		"delete":   program.Done(remove),
		"offset":   offset,
	})
}
