"""MQTT 5's properties as paho-mqtt has them, which aiomqtt takes as well."""
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


def of_connect(words):
    properties = Properties(PacketTypes.CONNECT)
    if "expiry" in words:
        properties.SessionExpiryInterval = int(words["expiry"])
    if "aliases" in words:
        properties.TopicAliasMaximum = int(words["aliases"])
    return properties


def of_will(words):
    properties = Properties(PacketTypes.WILLMESSAGE)
    if "willDelay" in words:
        properties.WillDelayInterval = int(words["willDelay"])
    return properties


def of_subscribe(words):
    properties = Properties(PacketTypes.SUBSCRIBE)
    if "identifier" in words:
        properties.SubscriptionIdentifier = int(words["identifier"])
    return properties


def of_publish(words, alias):
    properties = Properties(PacketTypes.PUBLISH)
    if "response" in words:
        properties.ResponseTopic = words["response"]
        properties.CorrelationData = words["correlation"].encode()
    if alias is not None:
        properties.TopicAlias = alias
    return properties


def told(properties):
    """What a message's properties tell, as words."""
    ids = getattr(properties, "SubscriptionIdentifier", None)
    correlation = getattr(properties, "CorrelationData", None)
    return {
        "ids": ",".join(map(str, ids)) if ids else None,
        "response": getattr(properties, "ResponseTopic", None),
        "correlation": correlation.decode() if correlation else None,
    }
