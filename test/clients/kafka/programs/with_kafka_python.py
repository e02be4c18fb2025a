"""kafka-python."""

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic

from program import Member, brokers, headers, records, serve, told

timeout_s = 20
common = {"bootstrap_servers": brokers}


class Verbs:
    def __init__(self):
        self.admin = KafkaAdminClient(**common)

    def metadata(self, words):
        return {"partitions": len(self.admin.describe_topics([words["topic"]])[0]["partitions"])}

    def _send(self, writer, words):
        sent = [writer.send(words["topic"], value, key, headers=headers) for key, value in records(words)]
        for each in sent:
            each.get(timeout_s)

    def produce(self, words):
        codec = None if words["codec"] == "none" else words["codec"]
        is_idempotent = words["idempotent"] == "1"
        writer = KafkaProducer(**common, compression_type=codec, enable_idempotence=is_idempotent, acks="all", linger_ms=50)
        self._send(writer, words)
        writer.close()

    def transact(self, words):
        writer = KafkaProducer(**common, transactional_id=words["id"], acks="all")
        writer.init_transactions()
        writer.begin_transaction()
        self._send(writer, words)
        (writer.commit_transaction if words["end"] == "commit" else writer.abort_transaction)()
        writer.close()

    def join(self, words):
        reader = KafkaConsumer(
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

        def poll():
            batches = reader.poll(timeout_ms=200).values()
            return [told(each.key, each.value, each.headers) for batch in batches for each in batch]

        return Member(poll, reader.commit, reader.close)

    def create(self, words):
        self.admin.create_topics([NewTopic(words["topic"], int(words["partitions"]), 1)])

    def alter(self, words):
        resource = ConfigResource(ConfigResourceType.TOPIC, words["topic"], {words["name"]: words["value"]})
        self.admin.alter_configs([resource])

    def describe(self, words):
        resource = ConfigResource(ConfigResourceType.TOPIC, words["topic"])
        found = self.admin.describe_configs([resource])
        return {"value": found["topic"][words["topic"]][words["name"]]["value"]}

    def delete(self, words):
        self.admin.delete_topics([words["topic"]])

    def offset(self, words):
        reader = KafkaConsumer(**common)
        place = TopicPartition(words["topic"], 0)
        found = reader.offsets_for_times({place: int(words["time"])})[place].offset
        reader.close()
        return {"offset": found}


serve("kafka-python", Verbs())
