import { expect, it } from "vitest"
import { connected, publishPacket, startKit } from "./kit.ts"

// Each sends as much as fills the system's own buffers on both sides, some 24 MiB of answers.

it.each([
  { packet: "PINGREQ", asks: [0xc0, 0], answerBytes: 2 },
  { packet: "PUBLISH", asks: [...publishPacket("a", "", { qos: 1, packetId: 7 })], answerBytes: 5 },
  { packet: "PUBREL", asks: [0x62, 2, 0, 7], answerBytes: 5 }
])("connections read no further from who sends $packet and takes no answers, and go on when it does", async (each) => {
  const kit = await startKit({ limits: { slowConsumerUnsentBytesMax: 100_000 } })
  const receivedBytes = () => Number(/logbrook_mqtt_received_bytes_total (\d+)/.exec(kit.broker.metrics.render())![1])
  const client = await connected(kit.port, { clientId: "asker" })
  client.socket.removeAllListeners("data").pause()
  const count = (24 * 1024 * 1024) / each.answerBytes
  const all = Buffer.alloc(Math.ceil(count) * each.asks.length, Buffer.from(each.asks))
  const before = receivedBytes()
  client.socket.write(all)
  let seen = -1
  await expect.poll(() => seen === (seen = receivedBytes()), { interval: 300 }).toBe(true)
  expect(seen - before).toBeLessThan(all.length)
  let answerBytes = 0
  client.socket.on("data", (chunk) => (answerBytes += chunk.length)).resume()
  await expect.poll(() => answerBytes, { timeout: 300_000 }).toBe(Math.ceil(count) * each.answerBytes)
  client.socket.destroy()
  await kit.stop()
})
