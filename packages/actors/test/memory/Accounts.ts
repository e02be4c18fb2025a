import { type ActorId, type AnyDefinition, type Signal } from "@logbrook/core/actor/Definition"
import type { AnyKind } from "@logbrook/core/actor/Kind"
import { pack, unpack } from "@logbrook/core/actor/pack"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { type Holder, holders, MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ActorTable } from "@logbrook/core/shard/ActorTable"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { makeCatalog } from "../../src/catalog/Catalog.ts"
import { makeGroup } from "../../src/group/Group.ts"
import { Partition } from "../../src/partition/Partition.ts"
import { Retained, type RetainedMessage } from "../../src/retained/Retained.ts"
import { makeSession } from "../../src/session/Session.ts"
import { makeStreamShare } from "../../src/streamShare/StreamShare.ts"
import { makeTransaction } from "../../src/transaction/Transaction.ts"
import { newestState } from "../../../core/test/support/newestState.ts"

const nowMs = 1_000_000

/** All actors over one account, without a journal: what is decided is folded at once, as a turn does. */
export class Accounts {
  readonly definitions: ReadonlyArray<AnyDefinition>
  readonly account: MemoryAccount
  readonly table: ActorTable
  /** Commands so far. */
  sent = 0
  /** The keys of the deadlines that are set, by actor. */
  readonly deadlines = new Map<ActorId, Set<string>>()
  /** States that `decide` and `evolve` were given and may not change, with what was saved of them then. */
  readonly past: Array<{ readonly definition: AnyDefinition; readonly state: unknown; readonly saved: Buffer }> = []

  constructor(limits: Partial<Limits> = {}) {
    const all = { ...defaultLimits, ...limits }
    this.definitions = [
      makeCatalog(all),
      makeGroup(),
      makeSession(all),
      makeStreamShare(all),
      makeTransaction(),
      Partition,
      Retained
    ]
    this.account = new MemoryAccount(all.memoryBytesMax)
    this.table = new ActorTable(this.definitions, this.account)
  }

  /** The tags of what happened, or why it was refused. */
  send<C extends { readonly _tag: string }>(id: ActorId, command: C): ReadonlyArray<string> | string {
    this.sent++
    const live = this.table.getOrMake(id, nowMs)
    const { definition, state } = live
    if (definition.states?.isPersistent === true) {
      this.past.push({ definition, state, saved: pack(definition.save(state)) })
    }
    const { events, reply, signals } = live.definition.decide(live.state, command, nowMs, this.account.room)
    for (const event of events) live.state = live.definition.evolve(live.state, event)
    if (events.length > 0) this.table.weigh(live)
    else if (live.isNew) this.table.forgetNew(live)
    if (events.length > 0) live.isNew = false
    this.#signalled(id, signals)
    if (reply === undefined || Exit.isSuccess(reply)) return events.map((event: { _tag: string }) => event._tag)
    const error = Cause.squash(reply.cause) as { readonly reason?: string }
    return error.reason ?? String(error)
  }

  /** A deadline that has passed is over at once. */
  #signalled(id: ActorId, signals: ReadonlyArray<Signal<AnyKind>>): void {
    const keys = this.deadlines.get(id) ?? new Set()
    for (const signal of signals) {
      if (signal._tag === "SetDeadline" && signal.atMs > nowMs) keys.add(signal.key)
      else if (signal._tag === "SetDeadline" || signal._tag === "CancelDeadline") keys.delete(signal.key)
    }
    this.deadlines.set(id, keys)
  }

  bytes(holder: Holder): number {
    return this.account.bytes(holder)
  }

  /** As if others had taken all. */
  fill(holder: Holder): void {
    this.account.add(holder, this.account.room(holder))
  }

  /** What a start that finds the same states would have on its accounts. */
  fromScratch(): ReadonlyMap<Holder, number> {
    const account = new MemoryAccount(0)
    const table = new ActorTable(this.definitions, account)
    for (const id of this.table.ids()) {
      const live = this.table.get(id)
      const definition = this.table.definition(id)
      const state = live === undefined ? newestState(this.table, id) : live.state
      table.put(id, definition.load(id, unpack(pack(definition.save(state)))), nowMs)
    }
    return new Map(holders.map((holder) => [holder, account.bytes(holder)]))
  }

  all(): ReadonlyMap<Holder, number> {
    return new Map(holders.map((holder) => [holder, this.bytes(holder)]))
  }
}

export const commitOf = (metadata: string, partitions = 1) => ({
  _tag: "CommitOffsets",
  generation: -1,
  memberId: "",
  groupInstanceId: null,
  offsets: Array.from({ length: partitions }, (_, partition) => ({
    topicId: "t",
    stream: "s",
    partition,
    offset: 1,
    leaderEpoch: -1,
    metadata
  }))
})

export const joinOf = (memberId: string, metadataBytes = 10) => ({
  _tag: "JoinMember",
  memberId,
  proposedMemberId: "m-1",
  groupInstanceId: null,
  clientId: "c",
  clientHost: "h",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array(metadataBytes) }],
  requireKnownMemberId: false,
  skipAssignmentSupported: true,
  reason: null
})

export const retainedOf = (payload: Uint8Array): RetainedMessage => ({
  payload,
  qos: 1,
  userProperties: [["unit", "°C"]],
  contentType: null,
  responseTopic: null,
  correlationData: null,
  payloadFormat: null,
  expiryAtMs: null,
  clientId: "sensor",
  timestampMs: nowMs
})
