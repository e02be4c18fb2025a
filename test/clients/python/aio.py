"""aiokafka: topics | produce | read | group, see pythonClients.test.ts."""

import asyncio

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


def blocking(command):
    return lambda *args: asyncio.run(command(*args))


run({each.__name__: blocking(each) for each in (topics, produce, read, group)})
