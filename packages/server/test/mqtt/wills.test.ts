import { sessionActor, type SessionCommand, type Will } from "@logbrook/actors/session/SessionProtocol"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import { expect, it } from "vitest"
import { startKit } from "./kit.ts"

/** What would wait for half a second or longer never comes: a session does not ask again by the clock. */
const impatient: Clock = {
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs(),
  nextTurn: (task) => systemClock.nextTurn(task),
  after: (delayMs, task) => (delayMs < 500 ? systemClock.after(delayMs, task) : () => undefined)
}

const willOf = (payload: string): Will => ({
  topic: "wills",
  payload: Buffer.from(payload),
  qos: 1,
  retain: false,
  delayMs: 0,
  expiryMs: null,
  userProperties: [],
  contentType: null,
  responseTopic: null,
  correlationData: null,
  payloadFormat: null
})

const connect = (connectionId: string, will: string): SessionCommand => ({
  _tag: "Connect",
  connectionId,
  cleanStart: false,
  sessionExpiryMs: 60_000,
  will: willOf(will),
  keepAliveMs: 0,
  protocolVersion: 5
})

const lost = (connectionId: string): SessionCommand => ({
  _tag: "Disconnect",
  connectionId,
  publishWill: true,
  sessionExpiryMs: null,
  end: { by: "socket", error: "ECONNRESET" }
})

it("a will is published at once also where its number is that of one whose commit is under way", async () => {
  const kit = await startKit({ clock: impatient })
  await kit.bind("kept", ["wills"])
  const session = sessionActor("c")
  const cause = { origin: "test" }
  kit.shard.tell(session, connect("1.1", "first"), cause)
  // Its reply comes before the word that the will is to be published. What is told behind that is decided in the same turn as the will's message.
  kit.shard.unsafeAsk(session, lost("1.1"), cause, () => {
    kit.shard.hold(true)
    queueMicrotask(() => {
      kit.shard.tell(session, connect("1.2", "second"), cause)
      kit.shard.tell(session, lost("1.2"), cause)
      kit.shard.hold(false)
    })
  })
  await expect.poll(() => kit.records("kept").map(({ value }) => value)).toEqual(["first", "second"])
  await kit.stop()
})
