"""Arguments: brokers, group, from, copies, counts, state directory.

Copies messages as they are, and counts those of each key: each makes a record of the new count. Exactly-once; until it is ended.
"""

import sys

from quixstreams import Application

brokers, group, source, copies, counts, directory = sys.argv[1:]
app = Application(
    broker_address=brokers,
    consumer_group=group,
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=0.5,
    state_dir=directory,
    # The partitions of an instance that was killed go to others soon.
    consumer_extra_config={"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000},
)


def count(_message, state):
    now = state.get("count", 0) + 1
    state.set("count", now)
    return str(now)


messages = app.dataframe(app.topic(source, key_deserializer="str", value_deserializer="str"))
messages.to_topic(app.topic(copies, key_serializer="str", value_serializer="str"))
messages.apply(count, stateful=True).to_topic(app.topic(counts, key_serializer="str", value_serializer="str"))
app.run()
