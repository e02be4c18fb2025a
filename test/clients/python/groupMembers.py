"""confluent-kafka (librdkafka): members of groups, as LineProgram.ts asks: see groupKills.test.ts. Arguments: brokers, topic.

Says `took group=GROUP place=PARTITION:OFFSET` of each record.
"""

import sys
import threading

from confluent_kafka import Consumer, KafkaException

brokers, topic = sys.argv[1:]
members = {}
poll_seconds = 0.2


def say(line):
    """In one piece, whoever says something else meanwhile."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Member(threading.Thread):
    def __init__(self, group, strategy, instance=None):
        super().__init__(daemon=True)
        self.group = group
        self.leaves = threading.Event()
        config = {
            "bootstrap.servers": brokers,
            "group.id": group,
            "partition.assignment.strategy": strategy,
            "session.timeout.ms": 30_000,
            "heartbeat.interval.ms": 500,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
            # Without it librdkafka from 2.11 on waits for ever for a coordinator when all brokers were down (confluentinc/librdkafka#5511).
            "metadata.recovery.strategy": "none",
        }
        self.consumer = Consumer(config if instance is None else {**config, "group.instance.id": instance})

    def run(self):
        self.consumer.subscribe([topic])
        while not self.leaves.is_set():
            message = self.consumer.poll(poll_seconds)
            if message is None:
                continue
            if message.error():
                sys.stderr.write(f"{self.group} {message.error()}\n")
                continue
            say(f"took group={self.group} place={message.partition()}:{message.offset()}")
            try:
                self.consumer.commit(message, asynchronous=False)
            except KafkaException as failure:
                sys.stderr.write(f"{self.group} {failure}\n")
                # The group changes, or the server is away: the record comes again, to whoever gets its partition.
        self.consumer.close()


def join(member, group, strategy, instance=None):
    members[member] = Member(group, strategy, instance)
    members[member].start()


def leave(member):
    members[member].leaves.set()
    members.pop(member).join()


steps = {"join": join, "leave": leave}
say("ready")
for line in sys.stdin:
    number, verb, *words = line.split()
    try:
        steps[verb](**dict(word.split("=") for word in words))
        say(f"{number} ok")
    except Exception as failure:
        say(f"{number} failed {failure}".replace("\n", " "))
