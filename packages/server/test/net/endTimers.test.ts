import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { afterEach, expect, it } from "vitest"
import type { Broker } from "../../src/Broker.ts"
import * as kafka from "../kafka/kit.ts"
import * as mqtt from "../mqtt/kit.ts"

const lingerMs = 1000
const answersMsMax = 5000

let stop: () => Promise<void>

afterEach(() => stop())

/** Notes how long each timer of an end was armed for, and which of them are still armed. */
const watchEnds = (broker: Broker) => {
  const armed: Array<number> = []
  const pending = new Set<symbol>()
  const { after } = broker.clock
  const watched: typeof after = (delayMs, task) => {
    if (delayMs !== lingerMs && delayMs !== answersMsMax) return after(delayMs, task)
    const id = Symbol(String(delayMs))
    armed.push(delayMs)
    pending.add(id)
    const cancel = after(delayMs, () => {
      pending.delete(id)
      task()
    })
    return () => {
      pending.delete(id)
      cancel()
    }
  }
  Object.assign(broker, { clock: { ...broker.clock, after: watched } })
  return { armed, pending }
}

it("an MQTT connection that has closed leaves no timer", async () => {
  const kit = await mqtt.startKit()
  stop = kit.stop
  await kit.bind("sensors", ["sensors/#"])
  const { armed, pending } = watchEnds(kit.broker)
  const client = await mqtt.connected(kit.port)
  client.send(mqtt.publishPacket("sensors/a", "x", { qos: 1 }), [0xe0, 0])
  await client.rest()
  await expect.poll(() => [...kit.mqtt.connections()]).toEqual([])
  expect(armed).toEqual([answersMsMax, lingerMs])
  expect(pending.size).toBe(0)
})

it("a Kafka connection that has closed leaves no timer", async () => {
  const kit = await kafka.startKit()
  stop = kit.close
  await kit.createStream("orders")
  const { armed, pending } = watchEnds(kit.broker)
  const client = await kit.connect()
  const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "" }]
  client.socket.end(client.requestOf(OffsetCommit, 7, { groupId: "g", topics: [{ name: "orders", partitions }] }))
  await client.closed()
  await expect.poll(() => kit.broker.metrics.render()).toMatch(/^logbrook_kafka_connections 0$/m)
  expect(armed).toEqual([answersMsMax, lingerMs])
  expect(pending.size).toBe(0)
})
