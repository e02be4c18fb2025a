"""aiokafka: topics | produce | read | group, see pythonClients.test.ts."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from records import run, tell, written


def consumer(brokers, group):
    return AIOKafkaConsumer(
        bootstrap_servers=brokers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=1000,
    )


async def poll(reader, count):
    left = int(count)
    while left > 0:
        for records in (await reader.getmany(timeout_ms=1000, max_records=left)).values():
            for each in records:
                tell(each.topic, each.partition, each.offset, each.timestamp, each.key, each.value)
                left -= 1


async def topics(brokers):
    async with consumer(brokers, None) as reader:
        for name in await reader.topics():
            print(name)


async def produce(brokers, topic, codec):
    compression = None if codec == "none" else codec
    writer = AIOKafkaProducer(
        bootstrap_servers=brokers, compression_type=compression, enable_idempotence=True, linger_ms=50
    )
    async with writer:
        sent = [await writer.send(topic, value, key) for key, value in written()]
        await asyncio.gather(*sent)


async def read(brokers, topic, count):
    # Without a group a subscription is an assignment of all partitions.
    async with consumer(brokers, None) as reader:
        reader.subscribe([topic])
        await poll(reader, count)


async def group(brokers, topic, name, count):
    """`topic` is a pattern if it begins with "^"."""
    async with consumer(brokers, name) as reader:
        if topic.startswith("^"):
            reader.subscribe(pattern=topic)
        else:
            reader.subscribe([topic])
        await poll(reader, count)
        await reader.commit()


async def admin(brokers, topic):
    """What an administrator does to a topic of one partition, and then sees."""
    client = AIOKafkaAdminClient(bootstrap_servers=brokers)
    await client.start()
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "5000"})
    await client.create_partitions({topic: NewPartitions(4)})
    await client.alter_configs([resource])
    entries = (await client.describe_configs([resource]))[0].resources[0][4]
    entry = next(each for each in entries if each[0] == "retention.ms")
    print("partitions", len((await client.describe_topics([topic]))[0]["partitions"]))
    print("retention.ms", entry[1], entry[3])
    for name, _ in await client.list_consumer_groups():
        described = (await client.describe_consumer_groups([name]))[0].groups[0]
        print("group", name, described[2].upper())
    await client.close()


def blocking(command):
    return lambda *args: asyncio.run(command(*args))


run({each.__name__: blocking(each) for each in (topics, admin, produce, read, group)})
