import type { MessageRef } from "@logbrook/actors/session/SessionProtocol"
import { describe, expect, it } from "vitest"
import { OutgoingMessage } from "../../../src/mqtt/Message.ts"
import { ReadyMessages } from "../../../src/mqtt/streams/ReadyMessages.ts"
import { noProperties } from "../../../src/streams/PublishRoutes.ts"

const start = () => {
  const account = { bytes: 0, add: (_holder: string, bytes: number) => void (account.bytes += bytes) }
  return { account, ready: new ReadyMessages(account) }
}

const refOf = (offset: number, stream: MessageRef["stream"] = {}): MessageRef => ({
  logId: 7,
  offset,
  qos: 1,
  retain: false,
  subscriptionIds: [],
  bytes: 5,
  stream
})

const message = (text: string) =>
  new OutgoingMessage({ ...noProperties, topic: "a", payload: Buffer.from(text), qos: 0, retain: false })

describe("messages that are ready for their references", () => {
  it("are taken once, and on the account until then", () => {
    const { account, ready } = start()
    const four = message("four")
    ready.put(refOf(1), four)
    expect(account.bytes).toBe(500 + 5)
    expect(ready.take(refOf(2))).toBeUndefined()
    expect(ready.take(refOf(1, { gap: 3 }))).toBeUndefined()
    expect(ready.take(refOf(1))).toBe(four)
    expect(ready.take(refOf(1))).toBeUndefined()
    expect(account.bytes).toBe(0)
  })

  it("are there once where two subscriptions have the same record", () => {
    const { account, ready } = start()
    const second = message("same")
    ready.put(refOf(1), message("same"))
    ready.put(refOf(1), second)
    expect(account.bytes).toBe(500 + 5)
    expect(ready.take(refOf(1))).toBe(second)
    expect(account.bytes).toBe(0)
  })

  it("leave nothing on the account when they are cleared", () => {
    const { account, ready } = start()
    ready.put(refOf(1), message("one"))
    ready.put(refOf(2), message("two"))
    ready.clear()
    ready.clear()
    expect(account.bytes).toBe(0)
    expect(ready.take(refOf(1))).toBeUndefined()
  })
})
