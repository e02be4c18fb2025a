import mqtt from "mqtt"
import { describe, expect, it } from "vitest"
import { sessionLogId } from "../src/mqtt/SessionLog.ts"
import { Retention } from "../src/Retention.ts"
import { type Kit, startKit } from "./mqtt/kit.ts"

/** Messages of 1 KB for a durable session that is away. */
const queued = async (kit: Kit, messages: number): Promise<void> => {
  const url = `mqtt://127.0.0.1:${kit.port}`
  const options = { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 3600 } } as const
  const away = await mqtt.connectAsync(url, { ...options, clientId: "away" })
  await away.subscribeAsync("q", { qos: 1 })
  await away.endAsync()
  const publisher = await mqtt.connectAsync(url, { protocolVersion: 5 })
  for (let i = 0; i < messages; i++) await publisher.publishAsync("q", "x".repeat(1000), { qos: 1 })
  await publisher.endAsync()
}

/** Where the log of what waits for sessions begins, once retention has looked at all logs. */
const startOffset = (kit: Kit): number => {
  const retention = new Retention(kit.broker)
  for (let looks = 0; looks < 10; looks++) retention.look()
  return kit.shard.logs.log(sessionLogId).startOffset
}

describe("the log of what waits for durable sessions", () => {
  it("is held to sessionLogBytesMax, and no less than that is kept", async () => {
    const kit = await startKit({ limits: { sessionLogBytesMax: 3500 } })
    await queued(kit, 10)
    await expect.poll(() => startOffset(kit)).toBe(6)
    await kit.stop()
  })

  it("is kept no longer than a session can be", async () => {
    const kit = await startKit({ limits: { sessionExpiryMsMax: 1000 } })
    await queued(kit, 3)
    await expect.poll(() => startOffset(kit)).toBe(3)
    await kit.stop()
  })

  it("keeps everything within both", async () => {
    const kit = await startKit()
    await queued(kit, 3)
    expect(startOffset(kit)).toBe(0)
    await kit.seq()
    expect(startOffset(kit)).toBe(0)
    await kit.stop()
  })
})
