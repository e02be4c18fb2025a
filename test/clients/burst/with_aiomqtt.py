"""PORT VERSION TOPIC COUNT: aiomqtt publishes COUNT messages of QoS 2 at a time."""
import asyncio
import sys

import aiomqtt

port, version, topic, count = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])


async def main():
    protocol = aiomqtt.ProtocolVersion.V5 if version == 5 else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client(
        "127.0.0.1",
        port,
        identifier=f"aiomqtt-{version}",
        protocol=protocol,
        max_inflight_messages=0,
        max_concurrent_outgoing_calls=count,
    ) as client:
        await asyncio.gather(*(client.publish(topic, str(i), 2, timeout=30) for i in range(count)))
    print(f"{count} done on 1 connections")


asyncio.run(main())
