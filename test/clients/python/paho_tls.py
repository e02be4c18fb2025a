# paho-mqtt over TLS with a client certificate: PORT CA CERT KEY TRANSPORT TOPIC PAYLOAD. It prints what comes back.
import sys
import threading

import paho.mqtt.client as mqtt

port, ca, cert, key, transport, topic, payload = sys.argv[1:]
came = threading.Event()
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho-" + transport, transport=transport)
client.tls_set(ca_certs=ca, certfile=cert, keyfile=key)


def on_message(_client, _userdata, message):
    print(message.topic, message.payload.decode())
    came.set()


client.on_message = on_message
client.on_connect = lambda *_: client.subscribe(topic, 1)
client.on_subscribe = lambda *_: client.publish(topic, payload, 1)
client.connect("localhost", int(port))
client.loop_start()
if not came.wait(30):
    sys.exit("nothing came")
client.disconnect()
client.loop_stop()
