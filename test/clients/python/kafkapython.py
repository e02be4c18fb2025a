"""kafka-python: topics | produce | read | group, see pythonClients.test.ts."""

import sys

import six

# kafka-python 2.0.2 brings a `six` that Python from 3.12 on cannot import; the newest version needs none.
sys.modules.setdefault("kafka.vendor.six.moves", six.moves)

from kafka import KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from records import run, tell, written  # noqa: E402

timeout_ms = 10_000


def consumer(brokers, group):
    return KafkaConsumer(
        bootstrap_servers=brokers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=1000,
    )


def poll(reader, count):
    left = int(count)
    while left > 0:
        for records in reader.poll(timeout_ms=1000, max_records=left).values():
            for each in records:
                tell(each.topic, each.partition, each.offset, each.timestamp, each.key, each.value)
                left -= 1


def topics(brokers):
    reader = consumer(brokers, None)
    for name in reader.topics():
        print(name)
    reader.close()


def produce(brokers, topic, codec):
    compression = None if codec == "none" else codec
    writer = KafkaProducer(bootstrap_servers=brokers, compression_type=compression, acks="all", linger_ms=50)
    sent = [writer.send(topic, value, key) for key, value in written()]
    writer.flush(30)
    for each in sent:
        each.get(timeout_ms / 1000)
    writer.close()


def read(brokers, topic, count):
    reader = consumer(brokers, None)
    partitions = [TopicPartition(topic, partition) for partition in reader.partitions_for_topic(topic)]
    reader.assign(partitions)
    reader.seek_to_beginning(*partitions)
    poll(reader, count)
    reader.close()


def group(brokers, topic, name, count):
    """`topic` is a pattern if it begins with "^"."""
    reader = consumer(brokers, name)
    if topic.startswith("^"):
        reader.subscribe(pattern=topic)
    else:
        reader.subscribe([topic])
    poll(reader, count)
    reader.commit()
    reader.close()


run({"topics": topics, "produce": produce, "read": read, "group": group})
