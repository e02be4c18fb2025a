"""Drives paho-mqtt."""
import sys
import threading

import paho.mqtt.client as mqtt

import paho_properties
from program import IncomingAliases, OutgoingAliases, command_of, host, say, say_ready


class Connection:
    def __init__(self, id, words):
        self.name = words["client"]
        self.is_5 = words["version"] == "5"
        self.connecting = id
        self.sent = OutgoingAliases() if "byAlias" in words else None
        self.received = IncomingAliases()
        # Of what is under way: the command by its packet id. A callback may come before the call has returned the id.
        self.lock = threading.RLock()
        self.commands = {}
        self.early = set()
        is_clean = words["clean"] == "1"
        self.client = client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            words["id"],
            clean_session=None if self.is_5 else is_clean,
            protocol=mqtt.MQTTv5 if self.is_5 else mqtt.MQTTv311,
            transport="websockets" if "websocket" in words else "tcp",
        )
        client.on_connect = self.connected
        client.on_message = self.message
        client.on_publish = lambda _client, _data, mid, *_: self.done(mid)
        client.on_subscribe = self.subscribed
        client.reconnect_delay_set(1, 1)
        if "willTopic" in words:
            will = paho_properties.of_will(words) if self.is_5 else None
            client.will_set(words["willTopic"], words["willPayload"], int(words["willQos"]), False, will)
        if self.is_5:
            start = mqtt.MQTT_CLEAN_START_FIRST_ONLY if is_clean else False
            properties = paho_properties.of_connect(words)
            client.connect(host, int(words["port"]), 60, clean_start=start, properties=properties)
        else:
            client.connect(host, int(words["port"]), 60)
        client.loop_start()

    def connected(self, _client, _data, flags, reason, _properties):
        if reason.is_failure:
            say(self.connecting, "failed", reason)
            return
        say("connected", client=self.name, session=int(flags.session_present))
        if self.connecting is not None:
            say(self.connecting, "ok")
            self.connecting = None

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

    def done(self, mid):
        with self.lock:
            id = self.commands.pop(mid, None)
            if id is None:
                self.early.add(mid)
            else:
                say(id, "ok")

    def under_way(self, id, mid):
        if mid in self.early:
            self.early.remove(mid)
            say(id, "ok")
        else:
            self.commands[mid] = id

    def subscribed(self, _client, _data, mid, reasons, _properties):
        if reasons[0].is_failure:
            with self.lock:
                say(self.commands.pop(mid), "failed", reasons[0])
        else:
            self.done(mid)

    def subscribe(self, id, words):
        with self.lock:
            properties = paho_properties.of_subscribe(words) if self.is_5 else None
            _, mid = self.client.subscribe(words["filter"], int(words["qos"]), properties=properties)
            self.under_way(id, mid)

    def publish(self, id, words):
        with self.lock:
            topic, alias = self.sent.name(words["topic"]) if self.sent else (words["topic"], None)
            properties = paho_properties.of_publish(words, alias) if self.is_5 else None
            retain = words["retain"] == "1"
            info = self.client.publish(topic, words["payload"], int(words["qos"]), retain, properties)
            self.under_way(id, info.mid)

    def disconnect(self, id, _words):
        self.client.disconnect()
        self.client.loop_stop()
        say(id, "ok")


connections = {}
say_ready("paho-mqtt")
for line in sys.stdin:
    id, verb, words = command_of(line)
    try:
        if verb == "connect":
            connections[words["client"]] = Connection(id, words)
        else:
            getattr(connections[words["client"]], verb)(id, words)
    except Exception as failure:
        say(id, "failed", repr(failure))
