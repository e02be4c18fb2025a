import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { pack, unpack } from "@logbrook/core/actor/pack"
import type { GroupEvent } from "../../src/group/GroupProtocol.ts"
import { rebalanceTimeoutMs } from "../../src/group/classic/classicContext.ts"
import { newClassic, saveClassic } from "../../src/group/classic/classicState.ts"
import { type SavedGroup, weightBytesOf } from "../../src/group/groupState.ts"
import { assign, bytes, type Call, GroupHarness, isParked } from "./GroupHarness.ts"
import { turn } from "../../../core/test/support/turn.ts"

/** What six clients may do, each remembering the id and generation that it was told last. */
type Step =
  | { readonly do: "join"; readonly who: number; readonly protocols: number; readonly known: boolean }
  | { readonly do: "sync" | "heartbeat" | "leave" | "restartClient"; readonly who: number }
  | {
      readonly do: "commit"
      readonly who: number
      readonly partition: number
      readonly offset: number
      readonly metadata: string
    }
  | { readonly do: "wait"; readonly ms: number }
  /** Time passes, and every client with an id sends heartbeats. */
  | { readonly do: "live"; readonly ms: number }
  | { readonly do: "restart" | "forget" | "delete" }

const who = fc.integer({ min: 0, max: 5 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      who,
      protocols: fc.integer({ min: 0, max: 2 }),
      known: fc.boolean()
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constantFrom("sync" as const, "sync" as const, "heartbeat" as const), who })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("leave" as const, "restartClient" as const), who }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("commit" as const),
      who,
      partition: fc.integer({ min: 0, max: 3 }),
      offset: fc.nat(1_000),
      metadata: fc.constantFrom("", "at noon", "12345678".repeat(100))
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(0, 200, 500, 3_000, 9_000, 20_000) })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("live" as const), ms: fc.constantFrom(1_000, 16_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("restart" as const, "forget" as const, "delete" as const) }) }
)

const protocolLists = [["range"], ["range", "sticky"], ["sticky", "range"]].map((names) =>
  names.map((name) => ({ name, metadata: bytes(name) }))
)

interface Client {
  memberId: string
  generation: number
  readonly groupInstanceId: string | null
}

const retentionMs = 25_000

/** The group and its clients, what was durably committed, and a shadow that lives only from the journal. */
class World {
  readonly group = new GroupHarness({ offsetsRetentionMs: retentionMs })
  readonly clients: ReadonlyArray<Client> = Array.from({ length: 6 }, (_, i) => ({
    memberId: "",
    generation: -1,
    groupInstanceId: i >= 4 ? `i${i}` : null
  }))
  private readonly committed = new Map<number, { readonly offset: number; readonly atMs: number }>()
  /** Of the checks so far: when the group was last seen with members, and since when it is seen without. */
  private usedMs = 0
  private emptyMs = Infinity
  private readonly protocolOf = new Map<number, string>()
  /** Joins not answered yet; the last of a client is the one it still waits for. */
  private joins: Array<{ readonly client: Client; readonly call: Call }> = []
  private shadow = this.group.state
  /** Reached in a run, so that a run that reaches nothing is seen. */
  readonly reached = new Set<string>()

  constructor() {
    this.group.watch = (call) => this.watch(call)
  }

  take(next: Step): void {
    const client = "who" in next ? this.clients[next.who] : undefined
    if (client !== undefined) this.act(client, next)
    else if (next.do === "wait") this.group.advance(next.ms)
    else if (next.do === "live") {
      for (let ms = 0; ms < next.ms; ms += 1_000) {
        this.group.advance(1_000)
        for (const each of this.clients) this.act(each, { do: "heartbeat", who: 0 })
      }
    } else if (next.do === "restart") this.group.restart()
    else if (next.do === "forget") {
      this.group.send({ _tag: "ForgetStreams", topicIds: ["t1"] })
      this.committed.clear()
    } else if (this.group.send({ _tag: "DeleteGroup" }).reply !== undefined) this.committed.clear()
    this.listen()
    this.check()
  }

  private act(client: Client, next: Step): void {
    const { group } = this
    const { memberId, generation, groupInstanceId } = client
    if (next.do === "join") {
      const protocols = protocolLists[next.protocols] ?? []
      const requireKnownMemberId = next.known
      const options = { groupInstanceId, protocols, requireKnownMemberId, rebalanceTimeoutMs: 15_000 }
      this.joins.push({ client, call: group.join(memberId, options) })
    } else if (next.do === "sync") {
      const ids = group.context.leader === memberId ? [...group.context.members.keys()] : []
      const call = group.sync(memberId, generation, assign(ids), groupInstanceId)
      if (call.refused?.reason === "UnknownMemberId") client.memberId = ""
    } else if (next.do === "heartbeat") {
      if (group.heartbeat(memberId, generation, groupInstanceId).refused?.reason === "FencedInstanceId") {
        client.memberId = ""
      }
    } else if (next.do === "leave") group.leave({ memberId, groupInstanceId })
    else if (next.do === "restartClient") client.memberId = ""
    else if (next.do === "commit") {
      const simple = group.value === "Empty"
      const call = group.commit(simple ? "" : memberId, simple ? -1 : generation, next)
      if (call.reply !== undefined) this.committed.set(next.partition, { offset: next.offset, atMs: group.nowMs })
    }
  }

  /** Every answer to a join, whenever it comes. */
  private listen(): void {
    const joins = this.joins
    this.joins = joins.filter(({ call }) => isParked(call))
    for (const [i, { client, call }] of joins.entries()) {
      if (call.refused !== undefined) {
        this.reached.add(call.refused.reason)
        const superseded = joins.slice(i + 1).some((later) => later.client === client)
        if (call.refused.reason === "MemberIdRequired") client.memberId = call.refused.memberId
        if (call.refused.reason === "UnknownMemberId" && !superseded) client.memberId = ""
      }
      if (call.reply?._tag !== "Joined") continue
      const { reply } = call
      client.memberId = reply.memberId
      client.generation = reply.generation
    }
  }

  private watch({ reply }: Call): void {
    if (reply?._tag !== "Joined") return
    const { context } = this.group
    expect(this.protocolOf.get(reply.generation) ?? reply.protocolName).toBe(reply.protocolName)
    this.protocolOf.set(reply.generation, reply.protocolName)
    expect([reply.generation, reply.leader]).toEqual([context.generation, context.leader])
    expect([...context.members.keys()]).toEqual(expect.arrayContaining([reply.leader, reply.memberId]))
    expect(reply.members.map((member) => member.memberId)).toEqual(
      reply.leader === reply.memberId ? [...context.members.keys()] : []
    )
  }

  check(): void {
    this.reached.add(this.group.value)
    this.checkShadow()
    this.checkSoftState()
    const { reply } = this.group.send({ _tag: "FetchOffsets", requireStable: false, partitions: null })
    if (reply?._tag !== "OffsetsFetched") throw new Error("offsets cannot be fetched")
    this.checkOffsets(new Map(reply.offsets.map((each) => [each.partition, each.offset])))
  }

  /** All that was committed, but for what nobody has used for the retention: that must be gone, and nothing else. */
  private checkOffsets(found: ReadonlyMap<number, number>): void {
    const { nowMs, value } = this.group
    if (value !== "Empty") this.usedMs = nowMs
    this.emptyMs = value === "Empty" ? Math.min(this.emptyMs, nowMs) : Infinity
    // Plain comparisons, as this runs behind every step.
    const wrong = (partition: number, offset: number, atMs: number): boolean => {
      const is = found.get(partition)
      if (is !== undefined && is !== offset) return true
      if (nowMs - Math.max(this.emptyMs, atMs) >= retentionMs) return is !== undefined
      return is === undefined && nowMs - Math.max(this.usedMs, atMs) < retentionMs
    }
    for (const [partition, { offset, atMs }] of this.committed) {
      if (wrong(partition, offset, atMs))
        throw new Error(`${partition}: ${found.get(partition)}, not ${offset} of ${atMs}`)
      if (!found.has(partition)) this.committed.delete(partition)
    }
    for (const partition of found.keys()) if (!this.committed.has(partition)) throw new Error(`${partition} came back`)
  }

  /** Saved, loaded, dropped when empty, and fed with copies of the events: still the live state. */
  private checkShadow(): void {
    const { definition, id, state } = this.group
    for (const event of this.group.newEvents()) {
      this.shadow = definition.evolve(this.shadow, unpack(pack(event)) as GroupEvent)
      if (definition.isEmpty(this.shadow)) {
        this.shadow = definition.initial(id)
        this.protocolOf.clear() // It counts from one again.
      } else this.shadow = definition.load(id, unpack(pack(definition.save(this.shadow))))
      this.reached.add(event._tag === "MemberLeft" ? event.reason : event._tag)
      if (event._tag === "RebalanceStarted") expect(event.reason).toContain(event.memberId)
    }
    if (Buffer.compare(pack(definition.save(this.shadow)), pack(definition.save(state))) !== 0) {
      expect(definition.save(this.shadow)).toEqual(definition.save(state))
      throw new Error("the saved states differ in their bytes")
    }
    expect(this.shadow.groupId).toBe(state.groupId)
    const saved = definition.save(state) as SavedGroup
    const fromFormer = definition.load(id, definition.upcastState!(asVersion1(saved), 1))
    if (Buffer.compare(pack(definition.save(fromFormer)), pack(saved)) !== 0) {
      expect(definition.save(fromFormer)).toEqual(saved)
      throw new Error("a state that version 1 saved differs in its bytes")
    }
    if (state.protocol === undefined && state.offsets.count > 0) this.reached.add("offsets without a protocol")
    // The running weight of the live state is what `load` computes from scratch.
    if (weightBytesOf(state) !== weightBytesOf(this.shadow)) {
      expect(weightBytesOf(state)).toBe(weightBytesOf(this.shadow))
    }
  }

  /** Nobody waits for ever: a parked reply has a ticket, and whatever may hang has a deadline. */
  private checkSoftState(): void {
    const { context, deadlines, parked, value } = this.group
    const expected = new Set<string>()
    for (const { memberId, joinTicket, syncTicket, isNew } of context.members.values()) {
      if (joinTicket > 0) expected.add(`join/${memberId}/${joinTicket}`)
      const parkedSync = value === "CompletingRebalance" && syncTicket > 0
      if (parkedSync) expected.add(`sync/${memberId}/${syncTicket}`)
      if ((joinTicket === 0 || isNew) && !parkedSync) expect([...deadlines.keys()]).toContain(`session/${memberId}`)
    }
    expect(new Set(parked.keys())).toEqual(expected)
    for (const key of deadlines.keys()) {
      const [kind = "", ...rest] = key.split("/")
      if (kind === "session") expect(context.members.has(rest.join("/"))).toBe(true)
      if (kind === "pending") expect(context.pending.has(rest.join("/"))).toBe(true)
    }
    for (const memberId of context.pending.keys()) expect(deadlines.has(`pending/${memberId}`)).toBe(true)
    expect(deadlines.has("offsets")).toBe(this.group.state.offsets.count > 0)
    expect(deadlines.has("rebalance")).toBe(value === "PreparingRebalance")
    const unsynced = [...context.members.values()].some((member) => member.syncTicket === 0)
    if (value === "CompletingRebalance") expect(deadlines.has("sync")).toBe(true)
    if (value === "Stable" && unsynced) expect(deadlines.has("sync")).toBe(true)
    if (value === "Empty" || value === "PreparingRebalance") expect(deadlines.has("sync")).toBe(false)
    if (context.members.size > 0) expect(context.members.has(context.leader ?? "")).toBe(true)
    expect(rebalanceTimeoutMs(context)).toBeLessThanOrEqual(15_000)
  }
}

/** As groups were saved before their protocol stood apart: this one's state, or that of a protocol nobody had come by. */
const asVersion1 = ({ offsets, protocol }: SavedGroup) => ({
  ...structuredClone(protocol ?? saveClassic(newClassic)),
  _tag: undefined,
  offsets
})

describe("any order of commands, times and restarts", () => {
  it("keeps one leader a generation, no caller for ever, every offset, and equals its replay", async () => {
    const reached = new Set<string>()
    await fc.assert(
      fc
        .asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
          const world = new World()
          for (const each of steps) world.take(each)
          const { group } = world
          expect(group.definition.save(group.replayed())).toEqual(group.definition.save(group.state))
          // When all fall silent, all are gone in the end.
          group.advance(7_200_000)
          world.check()
          expect(group.value).toBe("Empty")
          expect([group.parked.size, group.deadlines.size]).toEqual([0, 0])
          expect(weightBytesOf(group.state)).toBe(0)
          for (const each of world.reached) reached.add(each)
        })
        .beforeEach(turn),
      { numRuns: 300 }
    )
    expect([...reached]).toEqual(
      expect.arrayContaining([
        "Empty",
        "PreparingRebalance",
        "CompletingRebalance",
        "Stable",
        "offsets without a protocol",
        "MemberIdRequired",
        "RebalanceInProgress",
        "FencedInstanceId",
        "PendingMemberLeft",
        "MemberUpdated",
        "MemberReplaced",
        "ParkedRepliesForgotten",
        "OffsetsForgotten",
        "OffsetsExpired",
        "left",
        "session expired",
        "rebalance timeout",
        "sync timeout"
      ])
    )
  })
})
