"""aiokafka: an event loop in a thread of its own carries out what the verbs ask."""

import asyncio
from threading import Thread

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from program import Member, brokers, headers, records, serve, told

timeout_s = 20
common = {"bootstrap_servers": brokers}
loop = asyncio.new_event_loop()
Thread(target=loop.run_forever, daemon=True).start()


def done(work):
    return asyncio.run_coroutine_threadsafe(work, loop).result(timeout_s)


async def send(writer, words):
    sent = [await writer.send(words["topic"], value, key, headers=headers) for key, value in records(words)]
    await asyncio.gather(*sent)


async def produce(words):
    codec = None if words["codec"] == "none" else words["codec"]
    is_idempotent = words["idempotent"] == "1"
    writer = AIOKafkaProducer(**common, compression_type=codec, enable_idempotence=is_idempotent, linger_ms=50)
    async with writer:
        await send(writer, words)


async def transact(words):
    async with AIOKafkaProducer(**common, transactional_id=words["id"]) as writer:
        await writer.begin_transaction()
        await send(writer, words)
        await (writer.commit_transaction if words["end"] == "commit" else writer.abort_transaction)()


async def join(words):
    reader = AIOKafkaConsumer(
        **common,
        group_id=words["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        metadata_max_age_ms=1000,
        heartbeat_interval_ms=500,
    )
    if "pattern" in words:
        reader.subscribe(pattern=words["pattern"])
    else:
        reader.subscribe([words["topic"]])
    await reader.start()
    return reader


async def poll(reader):
    batches = (await reader.getmany(timeout_ms=200)).values()
    return [told(each.key, each.value, each.headers) for batch in batches for each in batch]


async def admin():
    client = AIOKafkaAdminClient(**common)
    await client.start()
    return client


async def offset(words):
    async with AIOKafkaConsumer(**common) as reader:
        place = TopicPartition(words["topic"], 0)
        return (await reader.offsets_for_times({place: int(words["time"])}))[place].offset


class Verbs:
    def __init__(self):
        self.admin = done(admin())

    def metadata(self, words):
        return {"partitions": len(done(self.admin.describe_topics([words["topic"]]))[0]["partitions"])}

    def produce(self, words):
        done(produce(words))

    def transact(self, words):
        done(transact(words))

    def join(self, words):
        reader = done(join(words))
        return Member(lambda: done(poll(reader)), lambda: done(reader.commit()), lambda: done(reader.stop()))

    def create(self, words):
        done(self.admin.create_topics([NewTopic(words["topic"], int(words["partitions"]), 1)]))

    def alter(self, words):
        resource = ConfigResource(ConfigResourceType.TOPIC, words["topic"], {words["name"]: words["value"]})
        done(self.admin.alter_configs([resource]))

    def describe(self, words):
        resource = ConfigResource(ConfigResourceType.TOPIC, words["topic"])
        entries = done(self.admin.describe_configs([resource]))[0].resources[0][4]
        return {"value": next(entry[1] for entry in entries if entry[0] == words["name"])}

    def delete(self, words):
        done(self.admin.delete_topics([words["topic"]]))

    def offset(self, words):
        return {"offset": done(offset(words))}


serve("aiokafka", Verbs())
