import type { Signal } from "@logbrook/core/actor/Definition"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { newClassic } from "../../src/group/classic/classicState.ts"
import { makeGroup } from "../../src/group/Group.ts"
import {
  type Command,
  defaultGroupSettings,
  type GroupEvent,
  type GroupKind,
  GroupRefused,
  type GroupSettings,
  type JoinMember,
  type Joined,
  type LeavingMember,
  type OffsetToCommit,
  type Reply,
  type SyncMember,
  groupActor
} from "../../src/group/GroupProtocol.ts"
import { nextOf } from "../nextOf.ts"
import { groupStateName } from "../../src/group/groupState.ts"

/** What a caller sees: nothing yet (parked), a reply, a refusal, or a connection cut by a restart. */
export interface Call {
  reply: Reply | undefined
  refused: GroupRefused | undefined
  lost: boolean
}

type ArmedDeadline = { readonly atMs: number; readonly command: Command; readonly order: number }

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const protocols = (...names: ReadonlyArray<string>) => names.map((name) => ({ name, metadata: bytes("topics") }))

/** Runs one group with mock time, parked replies and deadlines, as the runtime does, and keeps all events. */
export class GroupHarness {
  nowMs = 1_000_000
  readonly events: Array<GroupEvent> = []
  readonly parked = new Map<string, Call>()
  readonly deadlines = new Map<string, ArmedDeadline>()
  readonly definition: ReturnType<typeof makeGroup>
  readonly id = groupActor("orders")
  state: ReturnType<ReturnType<typeof makeGroup>["initial"]>
  /** Called with each answer at once, while the state is still the one that it was given in. */
  watch: (call: Call) => void = () => undefined
  /** Each state that is handed over is compared with a replay. */
  checksNext = true
  private orders = 0
  private ids = 0
  private readonly settings: GroupSettings

  constructor(settings: Partial<GroupSettings> = {}) {
    this.settings = { ...defaultGroupSettings, ...settings }
    this.definition = makeGroup(this.settings)
    this.state = this.definition.initial(this.id)
  }

  get context() {
    return (this.state.protocol ?? newClassic).machine.context
  }

  get value() {
    return groupStateName(this.state)
  }

  send(command: Command): Call {
    const decision = this.definition.decide(this.state, command, this.nowMs)
    this.state = this.checksNext ? nextOf(this.definition, this.state, decision) : (decision.next ?? this.state)
    this.events.push(...decision.events)
    const call: Call = { reply: undefined, refused: undefined, lost: false }
    if (decision.reply !== undefined) this.answer(call, decision.reply)
    else {
      if (decision.parkAs === undefined) throw new Error("neither replied nor parked")
      if (this.parked.has(decision.parkAs)) throw new Error(`two replies parked as ${decision.parkAs}`)
      this.parked.set(decision.parkAs, call)
    }
    for (const signal of decision.signals) this.run(signal)
    return call
  }

  private run(signal: Signal<typeof GroupKind>): void {
    if (signal._tag === "SetDeadline") {
      this.deadlines.set(signal.key, { atMs: signal.atMs, command: signal.command, order: this.orders++ })
    } else if (signal._tag === "CancelDeadline") this.deadlines.delete(signal.key)
    else if (signal._tag === "Release") {
      const call = this.parked.get(signal.key)
      if (call === undefined) return
      this.parked.delete(signal.key)
      this.answer(call, signal.exit as Exit.Exit<Reply, GroupRefused>)
    } else throw new Error(`unexpected signal ${signal._tag}`)
  }

  private answer(call: Call, exit: Exit.Exit<Reply, GroupRefused>): void {
    answer(call, exit)
    this.watch(call)
  }

  /** Lets time pass, and the deadlines in it, in their order. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    for (;;) {
      let first: string | undefined
      let due: ArmedDeadline | undefined
      for (const [key, each] of this.deadlines) {
        if (each.atMs > untilMs) continue
        if (due === undefined || each.atMs < due.atMs || (each.atMs === due.atMs && each.order < due.order)) {
          due = each
          first = key
        }
      }
      if (due === undefined || first === undefined) break
      this.deadlines.delete(first)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      this.send(due.command)
    }
    this.nowMs = untilMs
  }

  /** The process dies and comes back: replies and deadlines are gone, the journal is not. */
  restart(): void {
    for (const call of this.parked.values()) call.lost = true
    this.parked.clear()
    this.deadlines.clear()
    this.state = this.replayed()
    for (const signal of this.definition.resume(this.state, this.nowMs)) this.run(signal)
    this.advance(0)
  }

  replayed() {
    let state = this.definition.initial(this.id)
    for (const event of this.events) state = this.definition.evolve(state, event)
    return state
  }

  /** The events since the last call of it. */
  newEvents(): ReadonlyArray<GroupEvent> {
    const fresh = this.events.slice(this.seen)
    this.seen = this.events.length
    return fresh
  }
  private seen = 0

  newTags(): ReadonlyArray<string> {
    return this.newEvents().map((event) => event._tag)
  }

  join(memberId: string, options: Partial<JoinMember> = {}): Call {
    return this.send({
      _tag: "JoinMember",
      memberId,
      proposedMemberId: `m${++this.ids}`,
      groupInstanceId: null,
      clientId: "client",
      clientHost: "/127.0.0.1",
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: bytes("topics") }],
      requireKnownMemberId: false,
      skipAssignmentSupported: true,
      reason: null,
      ...options
    })
  }

  sync(
    memberId: string,
    generation: number,
    assignments: SyncMember["assignments"] = [],
    groupInstanceId: string | null = null
  ) {
    return this.send({
      _tag: "SyncMember",
      generation,
      memberId,
      groupInstanceId,
      protocolType: null,
      protocolName: null,
      assignments
    })
  }

  heartbeat(memberId: string, generation: number, groupInstanceId: string | null = null): Call {
    return this.send({ _tag: "Heartbeat", generation, memberId, groupInstanceId })
  }

  leave(...members: ReadonlyArray<Partial<LeavingMember>>): Call {
    return this.send({
      _tag: "LeaveMembers",
      members: members.map((each) => ({ memberId: "", groupInstanceId: null, reason: null, ...each }))
    })
  }

  commit(memberId: string, generation: number, ...offsets: ReadonlyArray<Partial<OffsetToCommit>>): Call {
    return this.send({
      _tag: "CommitOffsets",
      generation,
      memberId,
      groupInstanceId: null,
      offsets: offsets.map((each) => ({ ...anOffset, ...each }))
    })
  }

  /** The committed offset of a partition of the stream `t1`; -1 if there is none. */
  offsetOf(partition: number): number | undefined {
    const { reply } = this.send({
      _tag: "FetchOffsets",
      requireStable: false,
      partitions: [{ topicId: "t1", partition }]
    })
    return reply?._tag === "OffsetsFetched" ? reply.offsets[0]?.offset : undefined
  }

  /** A Stable group of members that joined together; the first leads. Assigns `a-<id>` to each. */
  stable(count: number, options: (index: number) => Partial<JoinMember> = () => ({})): Array<string> {
    const calls = Array.from({ length: count }, (_, i) => this.join("", options(i)))
    this.advance(this.settings.initialRebalanceDelayMs)
    this.advance(this.settings.initialRebalanceDelayMs)
    const ids = calls.map((call) => joined(call).memberId)
    this.syncAll(ids)
    this.newEvents()
    return ids
  }

  /** Followers first, then the leader with the assignment. */
  syncAll(ids: ReadonlyArray<string>): void {
    const { generation, leader } = this.context
    for (const id of ids) if (id !== leader) this.sync(id, generation)
    if (leader !== null) this.sync(leader, generation, assign(ids))
  }
}

export const anOffset: OffsetToCommit = {
  topicId: "t1",
  stream: "orders",
  partition: 0,
  offset: 0,
  leaderEpoch: 3,
  metadata: ""
}

export const assign = (ids: ReadonlyArray<string>) => ids.map((id) => ({ memberId: id, assignment: bytes(`a-${id}`) }))

export const isParked = (call: Call): boolean => call.reply === undefined && call.refused === undefined && !call.lost

export const joined = (call: Call): Joined => {
  if (call.reply?._tag !== "Joined")
    throw new Error(`not joined: ${call.refused?.reason ?? call.reply?._tag ?? "parked"}`)
  return call.reply
}

export const assignmentOf = (call: Call): string => {
  if (call.reply?._tag !== "Synced")
    throw new Error(`not synced: ${call.refused?.reason ?? call.reply?._tag ?? "parked"}`)
  return new TextDecoder().decode(call.reply.assignment)
}

const answer = (call: Call, exit: Exit.Exit<Reply, GroupRefused>): void => {
  if (Exit.isSuccess(exit)) {
    call.reply = exit.value
    return
  }
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (!(failure instanceof GroupRefused)) throw new Error("a reply that is neither success nor GroupRefused")
  call.refused = failure
}
