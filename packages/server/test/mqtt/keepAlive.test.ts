import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { MqttConnection } from "../../src/mqtt/MqttConnection.ts"
import type { Transport } from "../../src/mqtt/Transport.ts"
import { connectPacket, type Kit, startKit } from "./kit.ts"

let kit: Kit

beforeEach(async () => {
  kit = await startKit()
})

afterEach(() => kit.stop())

const nothing = () => undefined

/** A client without a socket; `written` is what it was sent. */
const connectionOf = async (
  keepAliveSeconds: number
): Promise<{ connection: MqttConnection; written: () => Buffer }> => {
  const sent: Array<Uint8Array> = []
  const transport: Transport = {
    remoteAddress: "127.0.0.1",
    unsentBytes: 0,
    write: (buffers) => void sent.push(...buffers),
    end: nothing,
    destroy: nothing,
    pause: nothing,
    resume: nothing
  }
  const connection = new MqttConnection(kit.mqtt, transport, kit.broker.gate.admit("127.0.0.1")!)
  connection.onChunk(connectPacket({ keepAliveSeconds }))
  await expect.poll(() => connection.isOpen).toBe(true)
  return { connection, written: () => Buffer.concat(sent.splice(0)) }
}

describe("the keep alive time [MQTT-3.1.2-22]", () => {
  it.each([1, 60, 65_535])("ends a connection one and a half times later, and not before: %d s", async (seconds) => {
    const { connection, written } = await connectionOf(seconds)
    const { monotonicMs } = kit.broker.clock
    const beforeMs = monotonicMs()
    connection.onChunk(Buffer.from([0xc0, 0]))
    const afterMs = monotonicMs()
    connection.sweep(beforeMs + seconds * 1500 - 1)
    expect(connection.isOpen).toBe(true)
    connection.sweep(afterMs + seconds * 1500)
    expect(connection.isOpen).toBe(false)
    const bytes = written()
    expect(bytes[bytes.lastIndexOf(0xe0) + 2]).toBe(0x8d)
  })

  it("of 0 never ends one", async () => {
    const { connection } = await connectionOf(0)
    connection.sweep(kit.broker.clock.monotonicMs() + 365 * 24 * 3_600_000)
    expect(connection.isOpen).toBe(true)
    connection.onClosed()
  })
})
