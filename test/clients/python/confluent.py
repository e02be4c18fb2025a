"""confluent-kafka (librdkafka): topics | admin | produce | read | group | copy, see pythonClients.test.ts."""

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions
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


def admin(brokers, topic):
    """What an administrator does to a topic of one partition, and then sees."""
    client = AdminClient({"bootstrap.servers": brokers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"retention.ms": "5000"})
    for done in (client.create_partitions([NewPartitions(topic, 4)]), client.alter_configs([resource])):
        for future in done.values():
            future.result(10)
    entry = client.describe_configs([resource])[resource].result(10)["retention.ms"]
    print("partitions", len(client.list_topics(topic, timeout=10).topics[topic].partitions))
    print("retention.ms", entry.value, entry.source)
    for each in client.list_consumer_groups().result(10).valid:
        described = client.describe_consumer_groups([each.group_id])[each.group_id].result(10)
        print("group", described.group_id, described.state.name)


def transactional(brokers, name):
    config = {"bootstrap.servers": brokers, "transactional.id": name, "transaction.timeout.ms": 20000, "log_level": 0}
    writer = Producer(config)
    writer.init_transactions(20)
    return writer


def copy(brokers, source, target, name, count):
    """Copies committed records with their offsets; the first transaction is aborted. Then another producer takes the id."""
    writer = transactional(brokers, name)
    reader = consumer(brokers, name, **{"isolation.level": "read_committed"})
    reader.subscribe([source])
    left, is_aborted = int(count), False
    while left > 0:
        messages = [each for each in reader.consume(4, 0.5) if not each.error()]
        if not messages:
            continue
        writer.begin_transaction()
        for each in messages:
            writer.produce(target, each.value(), each.key(), each.partition())
        writer.send_offsets_to_transaction(reader.position(reader.assignment()), reader.consumer_group_metadata())
        if is_aborted:
            writer.commit_transaction(20)
            left -= len(messages)
            continue
        writer.abort_transaction(20)
        is_aborted = True
        for each in reader.assignment():
            reader.seek(TopicPartition(each.topic, each.partition, 0))
    reader.close()
    transactional(brokers, name)
    try:
        writer.begin_transaction()
        writer.produce(target, b"zombie")
        writer.commit_transaction(20)
        print("not fenced")
    except KafkaException as error:
        print("fenced" if error.args[0].fatal() else error)


run({"topics": topics, "admin": admin, "produce": produce, "read": read, "group": group, "copy": copy})
