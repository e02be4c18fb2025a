"""PORT VERSION TOPIC COUNT: gmqtt, which waits for nobody, publishes COUNT messages of QoS 2 in one go."""
import asyncio
import sys

from gmqtt import Client, constants

port, version, topic, count = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
connections = 0


def connected(*_):
    global connections
    connections += 1


async def main():
    client = Client(f"gmqtt-{version}")
    client.on_connect = connected
    await client.connect("127.0.0.1", port, version=constants.MQTTv50 if version == 5 else constants.MQTTv311)
    for i in range(count):
        client.publish(topic, str(i), qos=2)
    await asyncio.wait_for(client._persistent_storage.wait_empty(), 30)
    await client.disconnect()
    print(f"{count} done on {connections} connections")


asyncio.run(main())
