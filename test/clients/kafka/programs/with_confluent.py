"""confluent-kafka, which is librdkafka."""

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from program import Member, brokers, headers, records, serve, told

timeout_s = 20
common = {"bootstrap.servers": brokers}
# A pattern is looked up when the metadata is.
reading = {"auto.offset.reset": "earliest", "enable.auto.commit": False, "topic.metadata.refresh.interval.ms": 1000}


def done(futures):
    for future in futures.values():
        return future.result(timeout_s)


class Verbs:
    def __init__(self):
        self.admin = AdminClient(common)

    def metadata(self, words):
        return {"partitions": len(self.admin.list_topics(words["topic"], timeout_s).topics[words["topic"]].partitions)}

    def _send(self, writer, words):
        failed = []
        for key, value in records(words):
            writer.produce(words["topic"], value, key, headers=headers, on_delivery=lambda e, _: e and failed.append(e))
        if writer.flush(timeout_s) > 0 or failed:
            raise RuntimeError(f"not acknowledged: {failed}")

    def produce(self, words):
        config = {"compression.type": words["codec"], "enable.idempotence": words["idempotent"] == "1", "linger.ms": 50}
        self._send(Producer({**common, **config}), words)

    def transact(self, words):
        writer = Producer({**common, "transactional.id": words["id"]})
        writer.init_transactions(timeout_s)
        writer.begin_transaction()
        self._send(writer, words)
        (writer.commit_transaction if words["end"] == "commit" else writer.abort_transaction)(timeout_s)

    def join(self, words):
        reader = Consumer({**common, **reading, "group.id": words["group"]})
        reader.subscribe([words.get("pattern", words.get("topic"))])

        def poll():
            messages = reader.consume(100, 0.2)
            return [told(each.key(), each.value(), each.headers()) for each in messages if not each.error()]

        return Member(poll, lambda: reader.commit(asynchronous=False), reader.close)

    def create(self, words):
        done(self.admin.create_topics([NewTopic(words["topic"], int(words["partitions"]))]))

    def alter(self, words):
        entry = ConfigEntry(words["name"], words["value"], incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, words["topic"], incremental_configs=[entry])
        done(self.admin.incremental_alter_configs([resource]))

    def describe(self, words):
        resource = ConfigResource(ConfigResource.Type.TOPIC, words["topic"])
        return {"value": done(self.admin.describe_configs([resource]))[words["name"]].value}

    def delete(self, words):
        done(self.admin.delete_topics([words["topic"]]))

    def offset(self, words):
        reader = Consumer({**common, "group.id": "unused"})
        place = TopicPartition(words["topic"], 0, int(words["time"]))
        found = reader.offsets_for_times([place], timeout_s)[0].offset
        reader.close()
        return {"offset": found}


serve("confluent-kafka", Verbs())
