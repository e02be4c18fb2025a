/**
 * What the things take of memory that clients can make the server keep, beside what their weights say: after a restart, when
 * no two strings are shared any more, with all that the server derives from the states. `node --expose-gc bench/memoryWeights.ts`
 */
import { makeCatalog } from "@logbrook/actors/catalog/Catalog"
import { makeGroup } from "@logbrook/actors/group/Group"
import { Partition, PartitionKind } from "@logbrook/actors/partition/Partition"
import { Retained } from "@logbrook/actors/retained/Retained"
import { makeSession } from "@logbrook/actors/session/Session"
import { makeTransaction } from "@logbrook/actors/transaction/Transaction"
import type { ActorId, AnyDefinition } from "@logbrook/core/actor/Definition"
import { logIdOf, type LogState } from "@logbrook/core/actor/LogEvents"
import { pack, unpack } from "@logbrook/core/actor/pack"
import { systemClock } from "@logbrook/core/Clock"
import { defaultLimits } from "@logbrook/core/Limits"
import { holders, MemoryAccount } from "@logbrook/core/memory/MemoryAccount"
import { ActorTable } from "@logbrook/core/shard/ActorTable"
import type { Shards } from "@logbrook/core/shard/Shards"
import { Timers } from "@logbrook/core/shard/Timers"
import { Log } from "@logbrook/core/storage/Log"
import { RetainedStore } from "@logbrook/server/mqtt/RetainedStore"
import { SessionDirectory } from "@logbrook/server/mqtt/SessionDirectory"
import { StreamDirectory } from "@logbrook/server/streams/StreamDirectory"
import { TransactionDirectory } from "@logbrook/server/transactions/TransactionDirectory"

declare const gc: () => void

const definitions: ReadonlyArray<AnyDefinition> = [
  makeCatalog(defaultLimits),
  makeGroup(),
  makeSession(),
  makeTransaction(),
  Partition,
  Retained
]
const ofKind = new Map(definitions.map((definition) => [definition.kind, definition]))
const ascii = (length: number, n: number): string => `${n}`.padEnd(length, "x")
const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(7)

/** States by their events, saved and loaded: an actor's id, and its events. */
type Made = Iterable<readonly [id: ActorId, events: ReadonlyArray<{ readonly _tag: string }>]>

const loaded = (made: Made): Map<ActorId, unknown> => {
  const states = new Map<ActorId, unknown>()
  for (const [id, events] of made) {
    const definition = ofKind.get(id.slice(0, id.indexOf("/")))!
    let state = definition.initial(id)
    for (const event of events) state = definition.evolve(state, event)
    states.set(unpack(pack(id)) as string, definition.load(id, unpack(pack(definition.save(state)))))
  }
  return states
}

const used = (): number => {
  gc()
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** What those that follow the shards ask for. */
const fakeOf = (table: ActorTable, memory: MemoryAccount): Shards => {
  const follow: Shards["follow"] = (states, { restored }) => {
    for (const [actor, state] of table.newest(states)) restored(actor, state)
  }
  const view: Shards["view"] = (states) => table.view(states)
  return { memory, follow, view } as unknown as Shards
}

/** What readers see of the partitions. */
const logsOf = (table: ActorTable): ReadonlyArray<Log> =>
  table.ofKind(PartitionKind).map((id) => {
    const log = new Log(logIdOf(id))
    log.restore(table.get(id)!.state as LogState)
    return log
  })

/** What waits for its time in a shard, of each actor. */
const timersOf = (table: ActorTable): Timers<unknown> => {
  const timers = new Timers<unknown>(systemClock, () => undefined)
  for (const { id, definition, state } of table.live()) {
    for (const signal of definition.resume(state, systemClock.nowMs())) {
      if (signal._tag !== "SetDeadline") continue
      const { key, command, atMs } = signal
      timers.set(`${id} ${key}`, atMs, { to: id, key, command, seq: undefined })
    }
  }
  return timers
}

const measure = (what: string, count: number, made: () => Made): void => {
  const account = new MemoryAccount(0)
  const before = used()
  const table = new ActorTable(definitions, account)
  table.replaceAll(loaded(made()), 0)
  const shards = fakeOf(table, account)
  const kept = [
    SessionDirectory.follow(shards, defaultLimits),
    RetainedStore.follow(shards, defaultLimits),
    StreamDirectory.follow(shards, defaultLimits),
    TransactionDirectory.follow(shards),
    logsOf(table),
    timersOf(table)
  ]
  const real = used() - before
  const weight = holders.reduce((sum, holder) => sum + account.bytes(holder), 0)
  const each = (all: number): string => (all / count).toFixed(0)
  console.log(`| ${what} | ${count} | ${each(real)} | ${each(weight)} | ${(weight / real).toFixed(2)} |`)
  if (kept.length === 0) throw new Error("nothing was kept")
}

const connection = {
  sessionExpiryMs: 1e9,
  keepAliveMs: 6e4,
  protocolVersion: 5,
  atMs: 2e12,
  connectionId: "1.100000"
} as const
const disconnected = {
  _tag: "SessionDisconnected",
  connectionId: "1.100000",
  cause: "Closed",
  sessionExpiryMs: 1e9,
  keepsWill: true,
  atMs: 2e12
} as { readonly _tag: string }
const will = {
  topic: "devices/will",
  payload: bytes(1000),
  qos: 1,
  retain: false,
  delayMs: 1000,
  expiryMs: null,
  userProperties: [],
  contentType: null,
  responseTopic: null,
  correlationData: null,
  payloadFormat: null
}
const subscription = (filter: string, subscriptionId: number | null = null) => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  subscriptionId
})

const many = function* <A>(count: number, make: (n: number) => A): Generator<A> {
  for (let n = 0; n < count; n++) yield make(n)
}

const session = (n: number, events: ReadonlyArray<{ readonly _tag: string }>, hasWill = false) =>
  [
    `session/${ascii(20, n)}`,
    [
      { _tag: "SessionStarted", ...connection, will: hasWill ? will : null } as { readonly _tag: string },
      ...events,
      disconnected
    ]
  ] as const

const subscribed = (filters: ReadonlyArray<string>) => [
  { _tag: "Subscribed", subscriptions: filters.map((filter) => subscription(filter)) } as { readonly _tag: string }
]
const texts = (count: number, make: (i: number) => string): Array<string> =>
  Array.from({ length: count }, (_, i) => make(i))

const queued = (count: number, ids: number) => [
  ...subscribed(["a"]),
  {
    _tag: "MessagesQueued",
    firstEntryId: 0,
    messages: texts(count, () => "").map((_, i) => ({
      logId: 1,
      offset: 1e6 + i,
      qos: 1,
      retain: false,
      subscriptionIds: Array.from({ length: ids }, (_unused, id) => id + 1),
      bytes: 100
    }))
  } as { readonly _tag: string }
]

const retainedSet = (payloadBytes: number) => [
  {
    _tag: "RetainedSet",
    message: {
      payload: bytes(payloadBytes),
      qos: 1,
      userProperties: [],
      contentType: null,
      responseTopic: null,
      correlationData: null,
      payloadFormat: null,
      expiryAtMs: null,
      clientId: ascii(20, 1),
      timestampMs: 1e12
    }
  } as { readonly _tag: string }
]

const produced = (producers: number) =>
  texts(producers, () => "").flatMap((_, id) =>
    texts(5, () => "").map(
      (_unused, i) =>
        ({
          _tag: "RecordsAppended",
          baseOffset: id * 500 + i * 100,
          count: 100,
          firstTimestampMs: 1e12,
          maxTimestampMs: 1e12,
          epoch: 1,
          verbatim: true,
          producer: { id: 1e6 + id, epoch: 0, baseSequence: i * 100 }
        }) as { readonly _tag: string }
    )
  )

const streams = (count: number, partitions: number, filters: number) =>
  [
    "catalog/0",
    texts(count, () => "").map(
      (_, n) =>
        ({
          _tag: "StreamCreated",
          stream: {
            name: ascii(20, n),
            topicId: ascii(22, n),
            logIds: texts(partitions, () => "").map((_unused, p) => 2 + n * partitions + p),
            filters: texts(filters, (f) => `${n}/${f}/x`),
            key: "none",
            config: [["retention.ms", "1000000"]],
            createdAtMs: 1e12
          }
        }) as { readonly _tag: string }
    )
  ] as const

const withPartitions = function* (count: number, partitions: number): Made {
  yield streams(count, partitions, 0)
  for (let logId = 2; logId < 2 + count * partitions; logId++) {
    yield [`partition/${logId}`, produced(1).slice(0, 5)] as const
  }
}

console.log("| What | Count | Bytes each | Weight | Weight/bytes |\n|---|---|---|---|---|")
measure("(first: classes and code)", 1, () => many(10, (n) => session(n, [])))
measure("session", 20_000, () => many(20_000, (n) => session(n, [])))
measure("session with a will of 1000 bytes", 5000, () => many(5000, (n) => session(n, [], true)))
measure("session with ten subscriptions of 3 levels, 18 characters", 10_000, () =>
  many(10_000, (n) => session(n, subscribed(texts(10, (i) => `d/${ascii(8, n)}/topic-${i}`))))
)
measure("session with twenty of them", 5000, () =>
  many(5000, (n) => session(n, subscribed(texts(20, (i) => `d/${ascii(8, n)}/topic-${i}`))))
)
measure("subscription, 1 level, 5 characters", 200_000, () =>
  many(200, (n) => session(n, subscribed(texts(1000, (i) => ascii(6, n * 1000 + i)))))
)
measure("subscription, 2 own levels of two filters each", 200_000, () =>
  many(2000, (n) => session(n, subscribed(texts(100, (i) => `${n * 50 + (i >> 1)}/${i & 1}`))))
)
measure("subscription, 3 levels, 15 characters", 200_000, () =>
  many(2000, (n) => session(n, subscribed(texts(100, (i) => `d/${ascii(8, n)}/${i}`))))
)
measure("subscription, 4 levels of 245 characters", 20_000, () =>
  many(200, (n) => session(n, subscribed(texts(100, (i) => [n, i, 1, 2].map((l) => ascii(245, l)).join("/")))))
)
measure("subscription, 32 own levels", 20_000, () =>
  many(200, (n) => session(n, subscribed(texts(100, (i) => `${n}/${i}/${texts(30, (l) => ascii(5, l)).join("/")}`))))
)
measure("shared subscription, 5 levels", 50_000, () =>
  many(500, (n) => session(n, subscribed(texts(100, (i) => `$share/${n}/${i}/a/b`))))
)
measure("subscription to one filter", 50_000, () => many(50_000, (n) => session(n, subscribed(["a/b/c"]))))
measure("queued message", 200_000, () => many(200, (n) => session(n, queued(1000, 1))))
measure("queued message, 50 ids", 20_000, () => many(20, (n) => session(n, queued(1000, 50))))
/** A thousand, `apart` from one another. */
const packetIds = (apart: number): ReadonlyArray<{ readonly _tag: string }> =>
  Array.from({ length: 1000 }, (_, i) => ({ _tag: "Qos2Received", packetId: 1 + i * apart }))
measure("packet id of QoS 2, in a row", 100_000, () => many(100, (n) => session(n, packetIds(1))))
measure("packet id of QoS 2, 64 apart", 100_000, () => many(100, (n) => session(n, packetIds(64))))
measure("retained, 3 levels, 10 bytes", 50_000, () =>
  many(50_000, (n) => [`retained/d/${n}/x`, retainedSet(10)] as const)
)
measure("retained, 3 levels, 1000 bytes", 20_000, () =>
  many(20_000, (n) => [`retained/d/${n}/x`, retainedSet(1000)] as const)
)
measure("retained, 32 own levels", 5000, () =>
  many(5000, (n) => [`retained/${n}/${texts(31, (l) => ascii(5, l)).join("/")}`, retainedSet(10)] as const)
)
measure("stream with 1 partition, 1 filter", 5000, () => [streams(5000, 1, 1)])
measure("partition of 64, with a producer", 64_000, () => withPartitions(1000, 64))
measure("producer", 50_000, () => many(10, (n) => [`partition/${n + 2}`, produced(5000)] as const))
/** Producers with a marker, and five batches of a transaction that is open behind it. */
const opened = (producers: number) =>
  produced(producers).flatMap((event, i): ReadonlyArray<{ readonly _tag: string }> => {
    if (i % 5 > 0) return [{ ...event, isTransactional: true } as { readonly _tag: string }]
    const marker = { producerId: 1e6 + i / 5, producerEpoch: 0, coordinatorEpoch: 1, outcome: "commit" }
    return [{ ...event, producer: undefined, marker } as { readonly _tag: string }, event]
  })
measure("producer with an open transaction", 50_000, () =>
  many(10, (n) => [`partition/${n + 2}`, opened(5000)] as const)
)
const withAppendTimes = (events: ReadonlyArray<{ readonly _tag: string }>) =>
  events.map((event) => ("marker" in event ? event : { ...event, isLogAppendTime: true }))
measure("producer whose batches have the time of their append", 50_000, () =>
  many(10, (n) => [`partition/${n + 2}`, withAppendTimes(produced(5000))] as const)
)
measure("producer of such, with an open transaction", 50_000, () =>
  many(10, (n) => [`partition/${n + 2}`, withAppendTimes(opened(5000))] as const)
)
const aborted = (transactions: number) =>
  texts(transactions, () => "").flatMap((_, n): ReadonlyArray<{ readonly _tag: string }> => {
    const at = { count: 1, firstTimestampMs: 1e12, maxTimestampMs: 1e12, epoch: 1, verbatim: true }
    const producer = { id: 1e6, epoch: 0, baseSequence: n }
    const marker = { producerId: 1e6, producerEpoch: 0, coordinatorEpoch: 1, outcome: "abort" }
    const batch = { _tag: "RecordsAppended", ...at, baseOffset: 1e10 + 2 * n, producer, isTransactional: true }
    const end = { _tag: "RecordsAppended", ...at, baseOffset: 1e10 + 2 * n + 1, producer: undefined, marker }
    return [batch, end]
  })
measure("aborted transaction in a partition", 50_000, () =>
  many(10, (n) => [`partition/${n + 2}`, aborted(5000)] as const)
)
const begun = {
  _tag: "ProducerInitialized",
  producerId: 1e6,
  producerEpoch: 0,
  lastProducerEpoch: -1,
  timeoutMs: 60_000,
  atMs: 1e12
}
const transactions = (count: number, idLength: number, events: ReadonlyArray<{ readonly _tag: string }> = []) =>
  many(count, (n) => [`transaction/${ascii(idLength, n)}`, [begun, ...events]] as const)
const partitionsAdded = (count: number) => ({
  _tag: "PartitionsAdded",
  atMs: 1e12,
  partitions: texts(count, (partition) => `${partition}`).map((_, partition) => ({
    topicId: ascii(22, 1),
    stream: ascii(20, 1),
    partition,
    logId: partition + 2
  }))
})
const groupsAdded = (count: number) =>
  texts(count, (i) => ascii(20, i)).map((groupId) => ({ _tag: "GroupAdded", groupId, atMs: 1e12 }))
measure("transactional id of 20 characters", 20_000, () => transactions(20_000, 20))
measure("transactional id of 500 characters", 5000, () => transactions(5000, 500))
measure("partition of a transaction", 100_000, () => transactions(1000, 20, [partitionsAdded(100)]))
measure("group of a transaction", 10_000, () => transactions(100, 20, groupsAdded(100)))
measure("pending offset of its own producer and topic, metadata of 100", 50_000, () =>
  many(
    500,
    (n) =>
      [
        `group/${ascii(20, n)}`,
        texts(100, (i) => ascii(100, i)).map(
          (metadata, partition) =>
            ({
              _tag: "PendingOffsetsAdded",
              producerId: 1e6 + partition,
              producerEpoch: 0,
              memberId: "",
              generation: -1,
              offsets: [
                {
                  topicId: ascii(22, partition),
                  stream: ascii(20, 1),
                  partition,
                  offset: 1e6,
                  leaderEpoch: 1,
                  metadata
                }
              ]
            }) as { readonly _tag: string }
        )
      ] as const
  )
)
measure("group offset, metadata of 100", 50_000, () =>
  many(
    500,
    (n) =>
      [
        `group/${ascii(20, n)}`,
        [
          {
            _tag: "OffsetsCommitted",
            memberId: "",
            generation: -1,
            atMs: 1e12,
            offsets: texts(100, (i) => ascii(100, i)).map((metadata, partition) => ({
              topicId: ascii(22, 1),
              stream: ascii(20, 1),
              partition,
              offset: 1e6,
              leaderEpoch: 1,
              metadata
            }))
          } as { readonly _tag: string }
        ]
      ] as const
  )
)
