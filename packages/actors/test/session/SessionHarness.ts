import type { Signal } from "@logbrook/core/actor/Definition"
import { pack, unpack } from "@logbrook/core/actor/pack"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { expect } from "vitest"
import { nextOf } from "../nextOf.ts"
import { makeSession } from "../../src/session/Session.ts"
import {
  type Connect,
  type ConnectionEnd,
  defaultSessionSettings,
  type MessageRef,
  type SessionCommand,
  type SessionEvent,
  type SessionKind,
  type SessionNotice,
  type SessionRefusal,
  type SessionReply,
  type SessionSettings,
  type Subscription,
  type Will,
  sessionActor
} from "../../src/session/SessionProtocol.ts"

export const hourMs = 3_600_000

export const cleanEnd: ConnectionEnd = { by: "client", reasonCode: 0 }

export const connectOf = (connectionId: string, changes: Partial<Connect> = {}): Connect => ({
  _tag: "Connect",
  connectionId,
  cleanStart: false,
  sessionExpiryMs: hourMs,
  will: null,
  keepAliveMs: 60_000,
  protocolVersion: 5,
  ...changes
})

export const willOf = (delayMs: number, changes: Partial<Will> = {}): Will => ({
  topic: "house/gone",
  payload: new Uint8Array([1, 2, 3]),
  qos: 1,
  retain: false,
  delayMs,
  expiryMs: null,
  userProperties: [["__proto__", "x"]],
  contentType: null,
  responseTopic: null,
  correlationData: new Uint8Array([9]),
  payloadFormat: null,
  ...changes
})

export const subscriptionOf = (filter: string, changes: Partial<Subscription> = {}): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  subscriptionId: null,
  ...changes
})

export const messageOf = (offset: number, changes: Partial<MessageRef> = {}): MessageRef => ({
  logId: 7,
  offset,
  qos: 1,
  retain: false,
  subscriptionIds: [],
  bytes: 10,
  ...changes
})

export interface Outcome {
  readonly tags: ReadonlyArray<SessionEvent["_tag"]>
  readonly events: ReadonlyArray<SessionEvent>
  readonly notices: ReadonlyArray<SessionNotice>
  readonly reply: SessionReply | undefined
  readonly refused: SessionRefusal | undefined
}

/** Runs one session with mock time and deadlines, as the runtime does; its events go through the journal's encoding. */
export class SessionHarness {
  nowMs = 1_000_000
  readonly id = sessionActor("a/b")
  readonly definition: ReturnType<typeof makeSession>
  readonly journal: Array<Uint8Array> = []
  readonly deadlines = new Map<string, { readonly atMs: number; readonly command: SessionCommand }>()
  state: ReturnType<ReturnType<typeof makeSession>["initial"]>

  constructor(settings: Partial<SessionSettings> = {}) {
    this.definition = makeSession({ ...defaultSessionSettings, ...settings })
    this.state = this.definition.initial(this.id)
  }

  send(command: SessionCommand): Outcome {
    const before = pack(this.saved())
    const decision = this.definition.decide(this.state, command, this.nowMs)
    expect(pack(this.saved()).equals(before), "deciding changes nothing in place").toBe(true)
    return this.#decided(decision)
  }

  /** As `send`, for a state so large that looking at all of it before and after each of many commands takes too long. */
  sendUnwatched(command: SessionCommand): Outcome {
    return this.#decided(this.definition.decide(this.state, command, this.nowMs))
  }

  #decided(decision: ReturnType<SessionHarness["definition"]["decide"]>): Outcome {
    const { events, reply, signals } = decision
    for (const event of events) this.journal.push(Uint8Array.from(pack(event)))
    this.state = nextOf(this.definition, this.state, decision)
    const tags = events.map((event) => event._tag)
    const notices = this.run(signals)
    if (reply === undefined) throw new Error("a session parks no reply")
    if (Exit.isSuccess(reply)) return { tags, events, notices, reply: reply.value, refused: undefined }
    const failure = Option.getOrUndefined(Cause.failureOption(reply.cause))
    return { tags, events, notices, reply: undefined, refused: failure?.reason }
  }

  /** Moves time to `atMs` and fires the deadlines on the way, in order. */
  until(atMs: number): ReadonlyArray<Outcome> {
    const outcomes: Array<Outcome> = []
    for (;;) {
      const due = [...this.deadlines].sort((a, b) => a[1].atMs - b[1].atMs)[0]
      if (due === undefined || due[1].atMs > atMs) break
      this.nowMs = Math.max(this.nowMs, due[1].atMs)
      this.deadlines.delete(due[0])
      outcomes.push(this.send(due[1].command))
    }
    this.nowMs = atMs
    return outcomes
  }

  /** The state that a replay makes; the journal's bytes are spoiled afterwards, as a read buffer is. */
  replayed(): SessionHarness["state"] {
    let state = this.definition.initial(this.id)
    for (const bytes of this.journal) {
      const buffer = Uint8Array.from(bytes)
      state = this.definition.evolve(state, unpack(buffer) as SessionEvent)
      buffer.fill(0xff)
    }
    return state
  }

  /** The server starts anew. */
  restart(): void {
    this.state = this.replayed()
    this.deadlines.clear()
    this.run(this.definition.resume(this.state, this.nowMs))
  }

  saved(state = this.state): unknown {
    return unpack(pack(this.definition.save(state)))
  }

  /** Saved and loaded, as a passivated actor or a snapshot is. */
  reload(): void {
    const bytes = Uint8Array.from(pack(this.definition.save(this.state)))
    this.state = this.definition.load(this.id, unpack(bytes))
    bytes.fill(0xff)
  }

  private run(signals: ReadonlyArray<Signal<typeof SessionKind>>): Array<SessionNotice> {
    const notices: Array<SessionNotice> = []
    for (const signal of signals) {
      if (signal._tag === "SetDeadline") this.deadlines.set(signal.key, signal)
      else if (signal._tag === "CancelDeadline") this.deadlines.delete(signal.key)
      else if (signal._tag === "Notify") notices.push(signal.notice as SessionNotice)
      else throw new Error(`unexpected signal ${signal._tag}`)
    }
    return notices
  }
}
