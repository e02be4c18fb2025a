"""Drives paho-mqtt."""
import asyncio
from concurrent.futures import Future

import paho.mqtt.client as mqtt

import paho_properties
from program import IncomingAliases, OutgoingAliases, host, say, serve


class Connection:
    def __init__(self, words):
        self.name = words["client"]
        self.is_5 = words["version"] == "5"
        self.is_clean = words["clean"] == "1"
        self.sent = OutgoingAliases() if "byAlias" in words else None
        self.received = IncomingAliases()
        self.up = Future()
        # By packet id: a future for each command under way.
        self.acknowledgements = {}
        self.client = client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            words["id"],
            clean_session=None if self.is_5 else self.is_clean,
            protocol=mqtt.MQTTv5 if self.is_5 else mqtt.MQTTv311,
            transport="websockets" if "websocket" in words else "tcp",
        )
        client.on_connect = self.connected
        client.on_message = self.message
        client.on_publish = lambda _client, _data, mid, *_: self.acknowledgement(mid).set_result(None)
        client.on_subscribe = self.subscribed
        client.reconnect_delay_set(1, 1)
        if "willTopic" in words:
            will = paho_properties.of_will(words) if self.is_5 else None
            client.will_set(words["willTopic"], words["willPayload"], int(words["willQos"]), False, will)

    async def connect(self, words):
        if self.is_5:
            start = mqtt.MQTT_CLEAN_START_FIRST_ONLY if self.is_clean else False
            properties = paho_properties.of_connect(words)
            self.client.connect(host, int(words["port"]), 60, clean_start=start, properties=properties)
        else:
            self.client.connect(host, int(words["port"]), 60)
        self.client.loop_start()
        await asyncio.wrap_future(self.up)

    def connected(self, _client, _data, flags, reason, _properties):
        if reason.is_failure:
            if not self.up.done():
                self.up.set_exception(RuntimeError(f"refused: {reason}"))
            return
        say("connected", client=self.name, session=int(flags.session_present))
        if not self.up.done():
            self.up.set_result(None)

    def message(self, _client, _data, message):
        alias = getattr(message.properties, "TopicAlias", None)
        say(
            "message",
            client=self.name,
            topic=self.received.topic(message.topic, alias),
            qos=message.qos,
            retain=int(message.retain),
            payload=message.payload.decode(),
            **paho_properties.told(message.properties),
        )

    def acknowledgement(self, mid):
        # A callback, in the library's thread, may ask for it before the call has returned the packet id.
        return self.acknowledgements.setdefault(mid, Future())

    async def acknowledged(self, mid):
        await asyncio.wrap_future(self.acknowledgement(mid))
        del self.acknowledgements[mid]

    def subscribed(self, _client, _data, mid, reasons, _properties):
        if reasons[0].is_failure:
            self.acknowledgement(mid).set_exception(RuntimeError(f"refused: {reasons[0]}"))
        else:
            self.acknowledgement(mid).set_result(None)

    async def subscribe(self, words):
        properties = paho_properties.of_subscribe(words) if self.is_5 else None
        _, mid = self.client.subscribe(words["filter"], int(words["qos"]), properties=properties)
        await self.acknowledged(mid)

    async def publish(self, words):
        topic, alias = self.sent.name(words["topic"]) if self.sent else (words["topic"], None)
        properties = paho_properties.of_publish(words, alias) if self.is_5 else None
        retain = words["retain"] == "1"
        info = self.client.publish(topic, words["payload"], int(words["qos"]), retain, properties)
        await self.acknowledged(info.mid)

    async def disconnect(self, _words):
        self.client.disconnect()
        self.client.loop_stop()


serve("paho-mqtt", Connection)
