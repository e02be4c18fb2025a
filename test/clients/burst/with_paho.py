"""PORT VERSION TOPIC COUNT: paho with COUNT messages of QoS 2 queued before it connects."""
import sys
import threading

import paho.mqtt.client as mqtt

port, version, topic, count = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
done = threading.Semaphore(0)
connections = 0


def connected(*_):
    global connections
    connections += 1


client = mqtt.Client(
    mqtt.CallbackAPIVersion.VERSION2,
    f"paho-{version}",
    protocol=mqtt.MQTTv5 if version == 5 else mqtt.MQTTv311,
)
client.max_inflight_messages_set(0)
client.on_connect = connected
client.on_publish = lambda *_: done.release()
for i in range(count):
    client.publish(topic, str(i), 2)
client.connect("127.0.0.1", port, 60)
client.loop_start()
for i in range(count):
    if not done.acquire(timeout=30):
        sys.exit(f"{i} of {count} done on {connections} connections")
client.disconnect()
client.loop_stop()
print(f"{count} done on {connections} connections")
