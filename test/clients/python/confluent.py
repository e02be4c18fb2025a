"""confluent-kafka (librdkafka): topics | produce | read | group | transactions, see pythonClients.test.ts."""

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from records import run, tell, written


def consumer(brokers, group, **config):
    return Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "check.crcs": True,
            # A pattern is looked up when the metadata is: soon, for a topic that was just made.
            "topic.metadata.refresh.interval.ms": 1000,
            **config,
        }
    )


def poll(reader, count):
    left = int(count)
    while left > 0:
        message = reader.poll(1)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        place = message.topic(), message.partition(), message.offset(), message.timestamp()[1]
        tell(*place, message.key(), message.value())
        left -= 1


def topics(brokers):
    for name in AdminClient({"bootstrap.servers": brokers}).list_topics(timeout=10).topics:
        print(name)


def produce(brokers, topic, codec):
    failed = []
    writer = Producer({"bootstrap.servers": brokers, "compression.type": codec, "enable.idempotence": True})
    for key, value in written():
        writer.produce(topic, value, key, on_delivery=lambda error, _: error and failed.append(error))
    if writer.flush(30) > 0 or failed:
        raise SystemExit(f"not acknowledged: {failed}")


def read(brokers, topic, count):
    reader = consumer(brokers, "unused")
    partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
    reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    poll(reader, count)
    reader.close()


def group(brokers, topic, name, count):
    """`topic` is a pattern if it begins with "^"."""
    reader = consumer(brokers, name)
    reader.subscribe([topic])
    poll(reader, count)
    reader.commit(asynchronous=False)
    reader.close()


def transactions(brokers):
    writer = Producer({"bootstrap.servers": brokers, "transactional.id": "payments"})
    try:
        writer.init_transactions(20)
        print("ready")
    except KafkaException as error:
        print(error)


run({"topics": topics, "produce": produce, "read": read, "group": group, "transactions": transactions})
