import { defaultLimits } from "@logbrook/core/Limits"
import type { GroupState } from "../../src/group/groupState.ts"
import { kindOf } from "@logbrook/core/actor/Definition"
import { pack } from "@logbrook/core/actor/pack"
import * as fc from "fast-check"
import { expect, it } from "vitest"
import { connectOf, messageOf, subscriptionOf, willOf } from "../session/SessionHarness.ts"
import { Accounts, commitOf, joinOf, retainedOf } from "./Accounts.ts"
import { turn } from "../../../core/test/support/turn.ts"
import { newestState } from "../../../core/test/support/newestState.ts"

type Step = (server: Accounts) => void

const few = fc.integer({ min: 1, max: 3 })
const text = fc.string({ unit: fc.constantFrom("a", "Ω", "/"), maxLength: 300 })
const bytes = fc.nat({ max: 3000 }).map((length) => new Uint8Array(length))
const command = (tag: string, fields: object = {}) => ({ _tag: tag, ...fields })

const ofSession = fc.oneof(
  fc
    .record({
      durable: fc.boolean(),
      cleanStart: fc.boolean(),
      payload: fc.option(bytes),
      topic: text,
      delayMs: fc.constantFrom(0, 30_000)
    })
    .map((asked) => {
      const { durable, cleanStart, payload, topic, delayMs } = asked
      const will = payload === null ? null : willOf(delayMs, { payload, topic })
      return connectOf("1", { cleanStart, will, sessionExpiryMs: durable ? 60_000 : 0 })
    }),
  fc.boolean().map((publishWill) => command("Disconnect", { connectionId: "1", publishWill, sessionExpiryMs: null })),
  fc
    .array(text, { maxLength: 5 })
    .map((filters) =>
      command("Subscribe", { connectionId: "1", subscriptions: filters.map((filter) => subscriptionOf(filter)) })
    ),
  fc.array(text, { maxLength: 5 }).map((filters) => command("Unsubscribe", { connectionId: "1", filters })),
  few.map((packetId) => command("ReceiveQos2", { connectionId: "1", packetId })),
  few.map((packetId) => command("ReleaseQos2", { connectionId: "1", packetId })),
  fc
    .array(fc.nat({ max: 9 }), { maxLength: 5 })
    .map((ids) => command("Enqueue", { messages: ids.map((id) => messageOf(id, { qos: 1, subscriptionIds: ids })) })),
  fc
    .array(text, { maxLength: 3 })
    .map((shares) => command("Enqueue", { messages: shares.map((share, id) => messageOf(id, { qos: 1, share })) })),
  few.map((id) => command("ConfirmHandedOn", { releaseIds: [id], to: null })),
  few.map((id) => command("MarkSent", { connectionId: "1", entries: [{ entryId: id - 1, packetId: id }] })),
  few.map((id) => command("Acked", { connectionId: "1", packetIds: [id] })),
  few.map((willId) => command("ConfirmWill", { willId, refused: null })),
  few.map((willId) => command("NoteWillStored", { willId })),
  fc.boolean().map((endSession) => command("Kick", { endSession }))
)

const ofGroup = fc.oneof(
  fc.tuple(text, few).map(([metadata, partitions]) => commitOf(metadata, partitions)),
  fc.nat({ max: 500 }).map((length) => joinOf("", length)),
  fc.constant(command("LeaveMembers")),
  fc.constant(command("ForgetStreams", { topicIds: ["t"] })),
  fc.constant(command("DeleteGroup"))
)

const ofCatalog = fc.oneof(
  fc.tuple(few, fc.integer({ min: 1, max: 8 }), few).map(([name, partitions, count]) => {
    const filters = Array.from({ length: count }, (_, n) => `${n}/#`)
    return command("CreateStream", {
      name: `s${name}`,
      topicId: `${name}`,
      filters,
      partitions,
      key: "topic",
      config: [],
      validateOnly: false
    })
  }),
  few.map((name) =>
    command("AlterStream", { name: `s${name}`, filters: ["x/y/z/#"], config: [["retention.ms", "1"]] })
  ),
  few.map((name) => command("DeleteStream", { name: `s${name}` }))
)

const ofPartition = fc.oneof(
  fc.nat({ max: 6 }).map((id) =>
    command("AppendBatch", {
      bytes: new Uint8Array(4),
      count: 1,
      baseTimestampMs: 1,
      maxTimestampMs: 1,
      producerId: id - 1,
      producerEpoch: 0,
      baseSequence: 0,
      isBehind: false,
      transaction: id === 0 || id > 3 ? undefined : { version: 1, isAdded: true },
      timestampType: id % 2 === 0 ? "LogAppendTime" : "CreateTime"
    })
  ),
  fc.record({ id: few, outcome: fc.constantFrom("commit", "abort"), epoch: fc.nat({ max: 1 }) }).map((asked) =>
    command("WriteMarker", {
      producerId: asked.id - 1,
      producerEpoch: asked.epoch,
      coordinatorEpoch: 0,
      outcome: asked.outcome,
      transactionVersion: 1
    })
  ),
  fc.constant(command("DeleteLog"))
)

const ofRetained = fc.oneof(
  fc
    .tuple(bytes, fc.constantFrom(null, 2_000_000))
    .map(([payload, expiryAtMs]) => command("SetRetained", { message: { ...retainedOf(payload), expiryAtMs } })),
  fc.constant(command("SetRetained", { message: null }))
)

const ofStreamShare = fc.oneof(
  fc.tuple(few, fc.boolean()).map(([topicId, resets]) => command("Open", { reading: readingOf(topicId), resets })),
  fc
    .tuple(few, fc.nat({ max: 2 }), few)
    .map(([life, from, count]) =>
      command("ReadOn", { life, positions: [[0, from, from + count]], records: recordsOf(from, count) })
    ),
  few.map((offset) => command("HandOut", { records: [[0, offset - 1]], to: "a" })),
  fc
    .tuple(few, few)
    .map(([topicId, count]) => command("TakeBack", { topicId: String(topicId), records: recordsOf(0, count) })),
  fc.constant(command("Leave")),
  fc.constant(command("Expire", { sinceMs: 1_000_000 }))
)

const readingOf = (topicId: number) => ({
  topicId: String(topicId),
  positions: [0],
  ends: null,
  untilMs: null,
  isFullTopic: false
})

const recordsOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => ({ partition: 0, offset: from + i }))

const ofProducer = (id: number) => ({ producerId: id, producerEpoch: id - 1 })

const ofTransaction = fc.oneof(
  few.map((id) =>
    command("InitProducer", { producerId: -1, producerEpoch: -1, timeoutMs: 60_000, newProducerId: id, mayBeNew: true })
  ),
  few.map((id) =>
    command("AddPartitions", {
      ...ofProducer(id),
      partitions: [{ topicId: "t", stream: "s", partition: id, logId: id }]
    })
  ),
  fc.tuple(few, text).map(([id, groupId]) => command("AddGroup", { ...ofProducer(id), groupId })),
  few.map((id) => command("End", { ...ofProducer(id), outcome: "commit", version: 2, newProducerId: -1 })),
  fc.constant(command("Abort")),
  fc.tuple(few, few).map(([id, epoch]) => command("Complete", { producerId: id, producerEpoch: epoch })),
  fc.constant(command("ForgetAtRest"))
)

/** Member ids are never used again: they are numbered by the commands so far. */
const inGroup =
  (n: number, each: { readonly _tag: string }): Step =>
  (server) => {
    const id = `group/${n}`
    if (each._tag === "JoinMember") server.send(id, { ...each, proposedMemberId: `m-${server.sent}` })
    else if (each._tag !== "LeaveMembers") server.send(id, each)
    else {
      const state = newestState<GroupState>(server.table, id)
      const members = Array.from(state?.protocol?.machine.context.members.keys() ?? [], (memberId) => ({
        memberId,
        groupInstanceId: null,
        reason: null
      }))
      server.send(id, { ...each, members })
    }
  }

/** What comes back asks for no room, since a session makes it. None does here: it comes where there is some. */
const inStreamShare =
  (n: number, each: { readonly _tag: string }): Step =>
  (server) => {
    if (each._tag !== "TakeBack" || server.account.room("queues") > 1000) server.send(`streamShare/${n}`, each)
  }

const sent = (kind: string, commands: fc.Arbitrary<{ readonly _tag: string }>): fc.Arbitrary<Step> =>
  fc.tuple(few, commands).map(
    ([n, each]) =>
      (server) =>
        void server.send(`${kind}/${n}`, each)
  )

const passivated: Step = ({ table }) => {
  for (const live of Array.from(table.live())) table.passivate(live)
}
const restarted: Step = ({ table, definitions }) => {
  const ofKind = new Map(definitions.map((definition) => [definition.kind, definition]))
  const states = table.ids().flatMap((id) => {
    const definition = ofKind.get(id.slice(0, id.indexOf("/")))!
    const state = newestState(table, id)
    return definition.isEmpty(state) ? [] : [[id, definition.load(id, definition.save(state))] as const]
  })
  table.replaceAll(new Map(states), 0)
}

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: sent("session", ofSession) },
  { weight: 3, arbitrary: fc.tuple(few, ofGroup).map(([n, each]) => inGroup(n, each)) },
  {
    weight: 2,
    arbitrary: ofCatalog.map(
      (each): Step =>
        (server) =>
          void server.send("catalog/0", each)
    )
  },
  { weight: 2, arbitrary: sent("partition", ofPartition) },
  { weight: 2, arbitrary: sent("retained", ofRetained) },
  { weight: 2, arbitrary: sent("transaction", ofTransaction) },
  { weight: 2, arbitrary: fc.tuple(few, ofStreamShare).map(([n, each]) => inStreamShare(n, each)) },
  { weight: 1, arbitrary: fc.constantFrom(passivated, restarted) }
)

/** So small that a few of anything fill it. */
const memoryBytesMax = 100_000

it("after any history the accounts are the sums from scratch, and nothing has grown beyond its budget", async () => {
  await fc.assert(
    fc
      .asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), async (steps) => {
        const server = new Accounts({ ...defaultLimits, memoryBytesMax })
        for (const each of steps) {
          each(server)
          expect(server.all()).toEqual(server.fromScratch())
          for (const holder of ["groups", "queues", "retained", "streams"] as const) {
            expect(server.bytes(holder), holder).toBeLessThanOrEqual(server.account.budget(holder) + slackBytes)
          }
        }
      })
      .beforeEach(turn),
    { numRuns: 150, seed: 8 }
  )
})

it("states of kinds that a view shows stay what they were, whatever is decided and folded behind them", () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), (steps) => {
      const server = new Accounts()
      for (const each of steps) each(server)
      for (const { definition, state, saved } of server.past) {
        seen.add(definition.kind)
        expect(pack(definition.save(state)).equals(saved), definition.kind).toBe(true)
      }
    }),
    { numRuns: 150, seed: 8 }
  )
  expect([...seen].sort()).toEqual(["catalog", "group", "retained", "streamShare", "transaction"])
})

it("an actor that has nothing to remember waits for nothing: its deadlines would be kept on no account", () => {
  const waited = new Set<string>()
  const emptied = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), (steps) => {
      const server = new Accounts()
      for (const each of steps) {
        each(server)
        for (const [id, keys] of server.deadlines) {
          const state = newestState(server.table, id)
          if (state !== undefined && !server.table.definition(id).isEmpty(state)) {
            for (const key of keys) waited.add(`${kindOf(id)} ${key.split("/")[0]}`)
            continue
          }
          emptied.add(kindOf(id))
          expect([...keys], id).toEqual([])
        }
      }
    }),
    { numRuns: 150, seed: 8 }
  )
  const kinds = ["catalog", "group", "partition", "retained", "session", "streamShare", "transaction"]
  expect([...emptied].sort()).toEqual(kinds)
  expect([...waited].sort()).toEqual([
    "catalog outbox",
    "group offsets",
    "group rebalance",
    "group session",
    "retained expire",
    "session expire",
    "session outbox",
    "session will",
    "streamShare expire",
    "transaction expiry",
    "transaction outbox",
    "transaction timeout"
  ])
})

/** Of an actor that has just been emptied, which is kept for a while, and of ids of QoS 2. */
const slackBytes = 3 * 700
