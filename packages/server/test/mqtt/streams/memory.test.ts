import { afterEach, describe, expect, it } from "vitest"
import { noProperties, PublishRoutes } from "../../../src/streams/PublishRoutes.ts"
import { connected, type Kit, startKit, subscribePacket } from "../kit.ts"

let kit: Kit

afterEach(() => kit.stop())

const records = 1600
const payload = Buffer.alloc(500, "x")

/** Straight into the stream's partitions, of as many clients as there are partitions. */
const fill = async (partitions: number): Promise<void> => {
  const { shards, directory } = kit.broker
  for (let client = 0; client < 4 * partitions; client++) {
    const routes = new PublishRoutes(shards, directory, `c${client}`)
    for (let n = 0; n < records / (4 * partitions); n++) {
      const message = { topic: "devices/x", payload, qos: 1, retain: false, ...noProperties }
      routes.append(message, Date.now())
    }
    await kit.seq()
  }
}

describe("readers of streams whose clients do not read on", () => {
  it.each([0, 1] as const)(
    "keep to the account, get everything later, and leave nothing on it: QoS %i",
    async (qos) => {
      const readers = 12
      kit = await startKit({ limits: { memoryBytesMax: 24 * 1024 * 1024 } })
      const { memory } = kit.broker.shards
      const budget = memory.budget("transit")
      await kit.bind("orders", ["devices/#"], 16)
      await fill(16)
      const clients = await Promise.all(
        Array.from({ length: readers }, (_, i) => connected(kit.port, { clientId: `r${i}` }))
      )
      for (const client of clients) {
        client.send(subscribePacket(1, [["$stream/orders?from=earliest", qos]]))
        expect((await client.packet()).at(-1)).toBe(qos)
        client.socket.pause()
      }
      // Nobody reads, and nobody acknowledges.
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect(memory.bytes("transit")).toBeGreaterThan(readers * 16 * 500)
      expect(memory.bytes("transit")).toBeLessThan(budget)
      for (const client of clients) client.socket.resume()
      const got = await Promise.all(
        clients.map(async (client) => {
          let count = 0
          for (; count < records; count++) {
            const message = await client.packet()
            // Behind two bytes of length, and the topic.
            const idAt = 5 + message[4]!
            if (qos === 1) client.send([0x40, 2, message[idAt]!, message[idAt + 1]!])
          }
          return count
        })
      )
      expect(got).toEqual(Array.from({ length: readers }, () => records))
      for (const client of clients) client.socket.destroy()
      await expect.poll(() => memory.bytes("transit")).toBe(0)
    }
  )
})
