// Drives franz-go.
package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"logbrook/clients/program"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(options, kgo.SeedBrokers(program.Brokers))...)
}

func send(ctx context.Context, writer *kgo.Client, w program.Words) error {
	var records []*kgo.Record
	for _, each := range w.Records() {
		headers := []kgo.RecordHeader{{Key: program.HeaderKey, Value: []byte(program.HeaderValue)}}
		record := &kgo.Record{Topic: w["topic"], Key: []byte(each.Key), Value: []byte(each.Value), Headers: headers}
		records = append(records, record)
	}
	return writer.ProduceSync(ctx, records...).FirstErr()
}

func produce(ctx context.Context, w program.Words) error {
	options := []kgo.Opt{kgo.ProducerBatchCompression(codecs[w["codec"]]), kgo.ProducerLinger(50 * time.Millisecond)}
	if w["idempotent"] == "0" {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	writer, err := client(options...)
	if err != nil {
		return err
	}
	defer writer.Close()
	return send(ctx, writer, w)
}

func transact(ctx context.Context, w program.Words) error {
	writer, err := client(kgo.TransactionalID(w["id"]))
	if err != nil {
		return err
	}
	defer writer.Close()
	if err := writer.BeginTransaction(); err != nil {
		return err
	}
	if err := send(ctx, writer, w); err != nil {
		return err
	}
	return writer.EndTransaction(ctx, kgo.TransactionEndTry(w["end"] == "commit"))
}

func join(ctx context.Context, w program.Words, member *program.Member) (func(), error) {
	options := []kgo.Opt{
		kgo.ConsumerGroup(w["group"]),
		kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.MetadataMaxAge(time.Second),
		kgo.MetadataMinAge(500 * time.Millisecond),
	}
	if pattern, ok := w["pattern"]; ok {
		options = append(options, kgo.ConsumeRegex(), kgo.ConsumeTopics(pattern))
	} else {
		options = append(options, kgo.ConsumeTopics(w["topic"]))
	}
	reader, err := client(options...)
	if err != nil {
		return nil, err
	}
	return func() {
		defer reader.Close()
		for ctx.Err() == nil {
			records := reader.PollFetches(ctx).Records()
			for _, each := range records {
				member.Read(each.Key, each.Value, each.Headers[0].Value)
			}
			if len(records) > 0 {
				_ = reader.CommitRecords(context.Background(), records...)
			}
		}
	}, nil
}

func verbs(admin *kadm.Client) map[string]program.Verb {
	return map[string]program.Verb{
		"produce":  program.Done(produce),
		"transact": program.Done(transact),
		"metadata": func(ctx context.Context, w program.Words) (program.Words, error) {
			topics, err := admin.ListTopics(ctx, w["topic"])
			return program.Words{"partitions": strconv.Itoa(len(topics[w["topic"]].Partitions))}, err
		},
		"create": program.Done(func(ctx context.Context, w program.Words) error {
			_, err := admin.CreateTopic(ctx, int32(w.Number("partitions")), 1, nil, w["topic"])
			return err
		}),
		"alter": program.Done(func(ctx context.Context, w program.Words) error {
			value := w["value"]
			change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: w["name"], Value: &value}}
			answer, err := admin.AlterTopicConfigs(ctx, change, w["topic"])
			if err != nil {
				return err
			}
			return answer[0].Err
		}),
		"describe": func(ctx context.Context, w program.Words) (program.Words, error) {
			answer, err := admin.DescribeTopicConfigs(ctx, w["topic"])
			if err != nil {
				return nil, err
			}
			for _, each := range answer[0].Configs {
				if each.Key == w["name"] {
					return program.Words{"value": each.MaybeValue()}, nil
				}
			}
			return nil, fmt.Errorf("no %s", w["name"])
		},
		"delete": program.Done(func(ctx context.Context, w program.Words) error {
			answer, err := admin.DeleteTopics(ctx, w["topic"])
			if err != nil {
				return err
			}
			return answer[w["topic"]].Err
		}),
		"offset": func(ctx context.Context, w program.Words) (program.Words, error) {
			answer, err := admin.ListOffsetsAfterMilli(ctx, w.Number("time"), w["topic"])
			if err != nil {
				return nil, err
			}
			found, _ := answer.Lookup(w["topic"], 0)
			return program.Words{"offset": strconv.FormatInt(found.Offset, 10)}, found.Err
		},
	}
}

func main() {
	one, err := client()
	if err != nil {
		panic(err)
	}
	program.Serve("github.com/twmb/franz-go", join, verbs(kadm.NewClient(one)))
}
