"""confluent-kafka (librdkafka): transactions step by step, as LineProgram.ts asks: see coordinatorKills.test.ts. Argument: brokers."""

import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

brokers = sys.argv[1]
call_seconds = 30
# Without it librdkafka from 2.11 on waits for ever for a coordinator when all brokers were down (confluentinc/librdkafka#5511).
recovery = {"metadata.recovery.strategy": "none"}
common = {"bootstrap.servers": brokers, "reconnect.backoff.max.ms": 200, "log_level": 0, **recovery}
producers = {}


def done(call, *args):
    """Calls until it is done: what may be tried again is."""
    while True:
        try:
            return call(*args)
        except KafkaException as failure:
            if not failure.args[0].retriable():
                raise


def init(id, timeout):
    producers[id] = Producer({"transactional.id": id, "transaction.timeout.ms": int(timeout), **common})
    done(producers[id].init_transactions, call_seconds)


def open_transaction(id, to, offset, **words):
    writer = producers[id]
    writer.begin_transaction()
    for partition in range(2):
        writer.produce(to, f"{id} {partition}", partition=partition)
    if writer.flush(call_seconds) > 0:
        raise SystemExit("not acknowledged")
    group = Consumer({"group.id": id, **common}).consumer_group_metadata()
    place = TopicPartition(words["from"], 0, int(offset))
    done(writer.send_offsets_to_transaction, [place], group, call_seconds)


def end(id, outcome):
    writer = producers[id]
    done(writer.commit_transaction if outcome == "commit" else writer.abort_transaction, call_seconds)


def close(id):
    producers.pop(id)


steps = {"init": init, "open": open_transaction, "end": end, "close": close}
print("ready", flush=True)
for line in sys.stdin:
    number, verb, *words = line.split()
    try:
        steps[verb](**dict(word.split("=") for word in words))
        print(number, "ok", flush=True)
    except Exception as failure:
        print(number, "failed", str(failure).replace("\n", " "), flush=True)
