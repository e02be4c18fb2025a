"""Drives aiomqtt. It does not show whether CONNACK told of a session, and connects again when it is entered again."""
import asyncio
import math

import aiomqtt
import paho.mqtt.client as mqtt

import paho_properties
from program import OutgoingAliases, host, say, serve


def client_of(words):
    is_5 = words["version"] == "5"
    is_clean = words["clean"] == "1"
    versions = {
        "protocol": aiomqtt.ProtocolVersion.V5,
        "clean_start": mqtt.MQTT_CLEAN_START_FIRST_ONLY if is_clean else False,
        "properties": paho_properties.of_connect(words),
    }
    will = None
    if "willTopic" in words:
        properties = paho_properties.of_will(words) if is_5 else None
        will = aiomqtt.Will(words["willTopic"], words["willPayload"], int(words["willQos"]), False, properties)
    return aiomqtt.Client(
        host,
        int(words["port"]),
        identifier=words["id"],
        transport="websockets" if "websocket" in words else "tcp",
        will=will,
        **(versions if is_5 else {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": is_clean}),
    )


class Connection:
    def __init__(self, words):
        self.words = words
        self.name = words["client"]
        self.is_5 = words["version"] == "5"
        self.sent = OutgoingAliases() if "byAlias" in words else None
        self.client = client_of(words)

    async def connect(self, _words):
        self.up = asyncio.get_running_loop().create_future()
        self.running = asyncio.create_task(self.run())
        await self.up

    async def run(self):
        while True:
            try:
                async with self.client:
                    say("connected", client=self.name)
                    if not self.up.done():
                        self.up.set_result(None)
                    async for message in self.client.messages:
                        self.say_message(message)
            except aiomqtt.MqttError as failure:
                if not self.up.done():
                    self.up.set_exception(failure)
                    return
                await asyncio.sleep(0.2)

    def say_message(self, message):
        say(
            "message",
            client=self.name,
            topic=message.topic,
            qos=message.qos,
            retain=int(message.retain),
            payload=message.payload.decode(),
            **paho_properties.told(message.properties),
        )

    async def subscribe(self, words):
        properties = paho_properties.of_subscribe(words) if self.is_5 else None
        granted = await self.client.subscribe(words["filter"], int(words["qos"]), properties=properties)
        code = getattr(granted[0], "value", granted[0])
        if code >= 0x80:
            raise RuntimeError(f"refused: {code}")

    async def publish(self, words):
        topic, alias = self.sent.name(words["topic"]) if self.sent else (words["topic"], None)
        properties = paho_properties.of_publish(words, alias) if self.is_5 else None
        retain = words["retain"] == "1"
        qos = int(words["qos"])
        try:
            await self.client.publish(topic, words["payload"], qos, retain, properties, timeout=math.inf)
        except aiomqtt.MqttCodeError as failure:
            # paho, below, has kept the message for the next connection; its acknowledgement is not told then.
            if failure.rc != mqtt.MQTT_ERR_NO_CONN:
                raise

    async def disconnect(self, _words):
        self.running.cancel()
        await asyncio.wait({self.running})


serve("aiomqtt", Connection)
