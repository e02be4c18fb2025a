"""confluent-kafka (librdkafka): copies a topic in transactions, as test/transactions/Copier.ts has it."""

import os
import random
import sys
import threading

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition, libversion

brokers, source, target, name, abort_share, seed = sys.argv[1:]
# Each transaction so many records at most.
records_max = 20
call_seconds = 10
chance = random.Random(int(seed))
ending = threading.Event()
common = {"bootstrap.servers": brokers, "reconnect.backoff.max.ms": 500, "log_level": 0}
# When all brokers are down, librdkafka from 2.11 on gives up those that it knows and begins with the bootstrap servers again, but waits for ever
# for a group's coordinator that it gave up (confluentinc/librdkafka#5511).
if libversion()[1] >= 0x020B0000:
    common["metadata.recovery.strategy"] = "none"


def done(call, *args):
    """Calls until it is done: what may be tried again is."""
    while True:
        try:
            return call(*args)
        except KafkaException as failure:
            if not failure.args[0].retriable():
                raise


def producer():
    writer = Producer({"transactional.id": name, "transaction.timeout.ms": 20_000, **common})
    done(writer.init_transactions, call_seconds)
    return writer


def consumer():
    config = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "isolation.level": "read_committed"}
    reader = Consumer({"group.id": name, "session.timeout.ms": 6000, **config, **common})
    # With callbacks partitions come and go only within `consume`, never while a transaction has their records.
    reader.subscribe([source], on_assign=lambda *_: None, on_revoke=lambda *_: None)
    return reader


def rewind(reader):
    """To what is committed, as a member that takes the partitions over."""
    partitions = reader.assignment()
    for each in done(reader.committed, partitions, call_seconds) if partitions else []:
        reader.seek(TopicPartition(each.topic, each.partition, max(each.offset, 0)))


def transaction(writer, reader, messages):
    writer.begin_transaction()
    offsets = {}
    for each in messages:
        writer.produce(target, f"{name} {each.partition()}:{each.offset()}", partition=each.partition())
        offsets[each.partition()] = each.offset() + 1
    places = [TopicPartition(source, partition, offset) for partition, offset in offsets.items()]
    done(writer.send_offsets_to_transaction, places, reader.consumer_group_metadata(), call_seconds)
    if chance.random() < float(abort_share):
        done(writer.abort_transaction, call_seconds)
        return "aborted"
    done(writer.commit_transaction, call_seconds)
    return "committed"


def wait_for_end():
    sys.stdin.read()
    ending.set()


def copy(writer, reader):
    while not ending.is_set():
        messages = [each for each in reader.consume(records_max, 0.2) if not each.error()]
        if not messages:
            continue
        try:
            result = transaction(writer, reader, messages)
        except KafkaException as failure:
            print("because", failure, flush=True)
            if failure.args[0].fatal():
                raise
            done(writer.abort_transaction, call_seconds)
            result = "failed"
        if result != "committed":
            rewind(reader)
        print(result, flush=True)


threading.Thread(target=wait_for_end, daemon=True).start()
writer, reader = producer(), consumer()
try:
    copy(writer, reader)
except KafkaException as failure:
    print("ends because", failure, flush=True)
    os._exit(3)
reader.close()
