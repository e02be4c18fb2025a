"""Drives gmqtt."""
import asyncio
import logging

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.storage import PersistentStorage

from program import OutgoingAliases, host, say, serve

logging.getLogger("gmqtt").setLevel(logging.CRITICAL)


class Storage(PersistentStorage):
    """Tells when a message is acknowledged: nothing else of the library does."""

    def __init__(self):
        super().__init__()
        self.newest = None
        self.acknowledged = {}

    def push_message(self, mid, raw_package):
        super().push_message(mid, raw_package)
        self.newest = mid

    def remove_message_by_mid(self, mid):
        super().remove_message_by_mid(mid)
        if waiting := self.acknowledged.pop(mid, None):
            waiting.set_result(None)


class Connection:
    def __init__(self, words):
        self.name = words["client"]
        self.is_5 = words["version"] == "5"
        self.sent = OutgoingAliases() if "byAlias" in words else None
        self.storage = Storage()
        self.subscribing = {}
        properties = {}
        if self.is_5 and "expiry" in words:
            properties["session_expiry_interval"] = int(words["expiry"])
        if "aliases" in words:
            properties["topic_alias_maximum"] = int(words["aliases"])
        will = None
        if "willTopic" in words:
            delay = {"will_delay_interval": int(words["willDelay"])} if "willDelay" in words else {}
            will = gmqtt.Message(words["willTopic"], words["willPayload"], qos=int(words["willQos"]), **delay)
        self.client = gmqtt.Client(
            words["id"],
            clean_session=words["clean"] == "1",
            will_message=will,
            persistent_storage=self.storage,
            **properties,
        )
        self.client.set_config({"reconnect_delay": 0.2, "reconnect_retries": gmqtt.constants.UNLIMITED_RECONNECTS})
        self.client.on_connect = lambda _client, flags, *_: say("connected", client=self.name, session=flags & 1)
        self.client.on_message = self.message
        self.client.on_subscribe = self.subscribed

    async def connect(self, words):
        await self.client.connect(host, int(words["port"]), version=MQTTv50 if self.is_5 else MQTTv311)

    async def message(self, _client, topic, payload, qos, properties):
        ids = properties.get("subscription_identifier")
        correlation = properties.get("correlation_data", [None])[0]
        say(
            "message",
            client=self.name,
            topic=topic,
            qos=qos,
            retain=properties["retain"],
            payload=payload.decode(),
            ids=",".join(map(str, ids)) if ids else None,
            response=properties.get("response_topic", [None])[0],
            correlation=correlation.decode() if isinstance(correlation, bytes) else correlation,
        )
        return 0

    def subscribed(self, _client, mid, granted, _properties):
        self.subscribing[mid].set_result(granted[0])

    async def subscribe(self, words):
        named = {"subscription_identifier": int(words["identifier"])} if "identifier" in words else {}
        mid = self.client.subscribe(gmqtt.Subscription(words["filter"], qos=int(words["qos"])), **named)
        granted = self.subscribing[mid] = asyncio.get_running_loop().create_future()
        if await granted >= 0x80:
            raise RuntimeError(f"refused: {granted.result()}")

    async def publish(self, words):
        named = {}
        topic = words["topic"]
        if self.sent:
            topic, named["topic_alias"] = self.sent.name(topic)
        if "response" in words:
            named["response_topic"] = words["response"]
            named["correlation_data"] = words["correlation"].encode()
        qos = int(words["qos"])
        message = gmqtt.Message(topic, words["payload"], qos=qos, retain=words["retain"] == "1", **named)
        self.client.publish(message)
        if qos > 0:
            acknowledged = asyncio.get_running_loop().create_future()
            self.storage.acknowledged[self.storage.newest] = acknowledged
            await acknowledged

    async def disconnect(self, _words):
        await self.client.disconnect()


serve("gmqtt", Connection)
