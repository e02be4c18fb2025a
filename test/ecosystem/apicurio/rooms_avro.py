"""Arguments: brokers, URL of the schema registry, topic; then `write FROM TO [FIELD]`, or `read COUNT`.

Writes the numbers FROM to TO - 1 as Avro records, whose schema it registers under the topic's name; FIELD is one more of its fields, which
has a default. Reads COUNT records by whatever schemas they were written with, and prints each as JSON.
"""

import json
import sys
import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, url, topic, what, *rest = sys.argv[1:]
registry = SchemaRegistryClient({"url": url})
context = SerializationContext(topic, MessageField.VALUE)
read_seconds = 60


def write(begin, end, field=None):
    fields = [{"name": "number", "type": "int"}]
    if field is not None:
        fields.append({"name": field, "type": "string", "default": "none"})
    schema = {"type": "record", "name": "Room", "fields": fields}
    # For the registry another text is another schema.
    serialize = AvroSerializer(registry, json.dumps(schema, separators=(",", ":")))
    producer = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
    for number in range(int(begin), int(end)):
        room = {"number": number} if field is None else {"number": number, field: "told"}
        producer.produce(topic, serialize(room, context))
    assert producer.flush(read_seconds) == 0


def read(count):
    deserialize = AvroDeserializer(registry)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"reads-{time.time_ns()}", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    deadline = time.monotonic() + read_seconds
    found = 0
    while found < int(count) and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None or message.error():
            continue
        print(json.dumps(deserialize(message.value(), context)))
        found += 1
    consumer.close()


{"write": write, "read": read}[what](*rest)
