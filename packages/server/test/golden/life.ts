import { setImmediate } from "node:timers/promises"
import { makeGroup } from "@logbrook/actors/group/Group"
import { type Command, defaultGroupSettings, groupActor } from "@logbrook/actors/group/GroupProtocol"
import { makeSession } from "@logbrook/actors/session/Session"
import { type SessionCommand, sessionActor, type Will } from "@logbrook/actors/session/SessionProtocol"
import type { ActorId, AnyDefinition } from "@logbrook/core/actor/Definition"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import type { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { layerRecovered, Recovered } from "../../src/composition.ts"
import { built, layerTest } from "../support/parts.ts"

/** Groups and sessions, whose saved states tell most. */
export const goldenActors: ReadonlyArray<AnyDefinition> = [
  ShardActor,
  makeGroup({ ...defaultGroupSettings, initialRebalanceDelayMs: 0 }),
  makeSession()
]

export const openJournal = (directory: string): LmdbJournal =>
  LmdbJournal.open({ directory, segmentBytes: 60_000, segmentRefsMax: 1e6 })

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const throwTrouble = (...trouble: ReadonlyArray<unknown>): never => {
  throw new Error(trouble.map(String).join(" "))
}

/** The machine's clock stands, so that nothing expires when the journal is opened in later years. */
const clock: Clock = { ...systemClock, nowMs: () => 1_800_000_000_000 }

/** A server's life in a data directory; it stops in order. */
export class Life {
  readonly #journal: LmdbJournal
  readonly shard: Shard

  constructor(directory: string) {
    this.#journal = openJournal(directory)
    const parts = layerTest({
      journal: this.#journal,
      clock,
      limits: { ...defaultLimits, commitPacingMs: 0 },
      definitions: goldenActors,
      faults: { died: throwTrouble, defect: throwTrouble }
    })
    this.shard = Context.get(built(Layer.provide(layerRecovered, parts)).context, Recovered).shards.all[0]!
    this.shard.start(throwTrouble)
  }

  /** The reply or the refusal; undefined if it is parked. */
  async #ask(to: ActorId, command: object, isParked = false): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const reply = (exit: Exit.Exit<unknown, unknown>): void =>
      resolve(Exit.match(exit, { onSuccess: (value) => value, onFailure: (cause) => cause }))
    this.shard.offer({ to, command: command as Command, cause: { origin: "golden" }, reply })
    if (!isParked) return promise
    await this.shard.completed()
    await setImmediate()
    return undefined
  }

  group(name: string, command: Command, isParked = false): Promise<unknown> {
    return this.#ask(groupActor(name), command, isParked)
  }

  session(clientId: string, command: SessionCommand): Promise<unknown> {
    return this.#ask(sessionActor(clientId), command)
  }

  commit(name: string, memberId: string, generation: number, offset: number, metadata = ""): Promise<unknown> {
    const at = { topicId: "topic-1", stream: "sensors", leaderEpoch: 2, metadata }
    const offsets = [0, 1].map((partition) => ({ ...at, partition, offset: offset + partition }))
    return this.group(name, { _tag: "CommitOffsets", generation, memberId, groupInstanceId: null, offsets })
  }

  join(name: string, memberId: string, more: { readonly isParked?: boolean; readonly asksForId?: boolean } = {}) {
    return this.group(
      name,
      {
        _tag: "JoinMember",
        memberId: "",
        proposedMemberId: memberId,
        groupInstanceId: null,
        clientId: `client of ${memberId}`,
        clientHost: "127.0.0.1",
        sessionTimeoutMs: 300_000,
        rebalanceTimeoutMs: 300_000,
        protocolType: "consumer",
        protocols: [
          { name: "range", metadata: bytes("r") },
          { name: "sticky", metadata: bytes("s") }
        ],
        requireKnownMemberId: more.asksForId === true,
        skipAssignmentSupported: true,
        reason: null
      },
      more.isParked
    )
  }

  sync(name: string, memberId: string): Promise<unknown> {
    return this.group(name, {
      _tag: "SyncMember",
      generation: 1,
      memberId,
      groupInstanceId: null,
      protocolType: null,
      protocolName: null,
      assignments: [{ memberId, assignment: bytes(`all to ${memberId}`) }]
    })
  }

  async end(): Promise<void> {
    await this.shard.drained()
    this.shard.stop()
    await this.#journal.close()
  }
}

const will: Will = {
  topic: "wills/durable",
  payload: bytes("gone"),
  qos: 1,
  retain: false,
  delayMs: 3_600_000_000,
  expiryMs: null,
  userProperties: [["of", "durable"]],
  contentType: null,
  responseTopic: null,
  correlationData: bytes("42"),
  payloadFormat: 0
}

export const liveGroups = async (life: Life): Promise<void> => {
  await life.commit("simple", "", -1, 100)
  await life.join("stable", "a")
  await life.sync("stable", "a")
  await life.commit("stable", "a", 1, 7)
  await life.join("left", "b")
  await life.sync("left", "b")
  await life.commit("left", "b", 1, 20)
  const leaving = { memberId: "b", groupInstanceId: null, reason: "golden" }
  await life.group("left", { _tag: "LeaveMembers", members: [leaving] })
  await life.join("expected", "c", { asksForId: true })
  await life.join("completing", "d")
  // Ends with no member, none expected, no offsets.
  await life.join("over", "e")
  await life.group("over", { _tag: "LeaveMembers", members: [{ ...leaving, memberId: "e" }] })
}

const connectionId = "golden connection"
const connection = { connectionId, keepAliveMs: 60_000, protocolVersion: 5, cleanStart: true } as const
const subscription = { noLocal: false, retainAsPublished: true, retainHandling: 1, subscriptionId: 4 } as const

export const liveSessions = async (life: Life): Promise<void> => {
  await life.session("durable", { _tag: "Connect", ...connection, sessionExpiryMs: 4_000_000_000, will })
  await life.session("durable", {
    _tag: "Subscribe",
    connectionId,
    subscriptions: [{ ...subscription, filter: "sensors/+", qos: 2 }]
  })
  await life.session("durable", { _tag: "ReceiveQos2", connectionId, packetId: 9 })
  const messages = [0, 1, 2].map((offset) => ({
    logId: 1,
    offset,
    qos: 1 as const,
    retain: false,
    subscriptionIds: [4],
    bytes: 40
  }))
  await life.session("durable", { _tag: "Enqueue", messages })
  await life.session("durable", { _tag: "MarkSent", connectionId, entries: [{ entryId: 0, packetId: 1 }] })
  const mountPoint = "tenants/a/"
  await life.session("below", {
    _tag: "Connect",
    ...connection,
    sessionExpiryMs: 4_000_000_000,
    will: null,
    mountPoint
  })
  await life.session("short", { _tag: "Connect", ...connection, sessionExpiryMs: 0, will: null })
  await life.session("away", { _tag: "Connect", ...connection, sessionExpiryMs: 5_000_000_000, will })
  const end = { by: "kick" } as const
  await life.session("away", {
    _tag: "Disconnect",
    connectionId,
    publishWill: true,
    sessionExpiryMs: null,
    end
  })
}

/** Fills segments, so that snapshots are taken. */
export const fill = async (life: Life, rounds: number): Promise<void> => {
  for (let i = 0; i < rounds; i++) await life.commit("filler", "", -1, i, "x".repeat(1500))
}
