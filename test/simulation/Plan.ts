import type { Codec } from "@logbrook/core/Compression"
import type { Limits } from "@logbrook/core/Limits"
import { withCompaction } from "./compactionPlan.ts"
import { Random, times } from "./Random.ts"

export interface DiskPlan {
  readonly segmentBytes: number
  readonly latencyUsMin: number
  readonly latencyUsMax: number
  /** Of a write, to take up to `stallMsMax`. */
  readonly stallChance: number
  readonly stallMsMax: number
}

export interface SettlingPlan {
  /** Whether closed segments are settled at all. */
  readonly isOn: boolean
  /** How often to look for a segment that is worth to be written anew. */
  readonly lookEveryMs: number
  readonly freedBytesMin: number
}

export interface NetworkPlan {
  readonly latencyUsMin: number
  readonly latencyUsMax: number
  readonly cutting: ReadonlyArray<"whole" | "some" | "tiny">
  /** Of a connection, while faults last: how long it lives at most before something happens to it; 0: for ever. */
  readonly lifeMsMax: number
}

/** What happens to the server while faults last. */
export type Mishap =
  | { readonly kind: "crash"; readonly atMs: number; readonly downMs: number }
  | { readonly kind: "stop"; readonly atMs: number; readonly downMs: number }
  /** The disk fails at the n-th commit after this. */
  | { readonly kind: "diskFails"; readonly atMs: number; readonly inAppends: number; readonly downMs: number }
  | { readonly kind: "diskLow"; readonly atMs: number; readonly lastsMs: number }
  | { readonly kind: "clockStep"; readonly atMs: number; readonly byMs: number }
  /** `evolve` of one actor of this kind throws: once, or when its command is decided again as well. */
  | { readonly kind: "poison"; readonly atMs: number; readonly actorKind: string; readonly times: 1 | 2 }
  /** An operator closes one of the MQTT connections. */
  | { readonly kind: "kick"; readonly atMs: number }
  /** In the next compaction: while its worker writes, or when its file has got its name and its source is still there. */
  | {
      readonly kind: "crashCompacting"
      readonly atMs: number
      readonly downMs: number
      readonly when: "written" | "adopted"
    }

export interface PublisherPlan {
  readonly kind: "publisher"
  readonly name: string
  readonly version: 3 | 4 | 5
  readonly isDurable: boolean
  readonly messages: number
  readonly window: number
  readonly everyMs: number
  /** Chances of QoS 0 and 1; the rest is QoS 2. */
  readonly qos0: number
  readonly qos1: number
  readonly retained: number
  readonly hasWill: boolean
  readonly bytesMax: number
  /** How long PUBREL may wait, so that restarts find ids that are not released. */
  readonly releasesWithinMs: number
  /** It publishes to topics of which a stream keeps the last value, and clears them now and then (MQTT 5 only). */
  readonly lastValues?: { readonly topics: number; readonly tombstones: number }
}

export interface SubscriberPlan {
  readonly kind: "subscriber"
  readonly name: string
  readonly version: 3 | 4 | 5
  readonly isDurable: boolean
  readonly filters: ReadonlyArray<readonly [filter: string, qos: 0 | 1 | 2]>
  readonly receiveMaximum: number
  /** Of a delivery, to be left without its acknowledgement until the client has connected again. */
  readonly forgets: number
}

export interface ProducerPlan {
  readonly kind: "producer"
  readonly name: string
  readonly beginsMs: number
  readonly stream: string
  readonly partition: number
  readonly isIdempotent: boolean
  readonly batches: number
  readonly inFlight: number
  readonly everyMs: number
  readonly version: number
  readonly bytesMax: number
  readonly keyed?: KeyedPlan
}

/** What a producer writes to a stream that is compacted. */
export interface KeyedPlan {
  readonly keys: number
  /** Chance of a record to be one. */
  readonly tombstones: number
  readonly codec: Codec | "none"
  /** Of its clock, against the server's. */
  readonly clockAheadMs: number
  /** So many batches have records without a key as well; then the stream begins to be compacted. */
  readonly convertsAfter?: number
}

export interface MemberPlan {
  readonly kind: "member"
  readonly name: string
  readonly group: string
  readonly streams: ReadonlyArray<string>
  readonly instanceId: string | null
  readonly joinVersion: number
  readonly sessionTimeoutMs: number
  /** How long it stays before it leaves or crashes, and comes back; 0: it stays. */
  readonly staysMs: number
  /** It fetches in a session (KIP-227). */
  readonly usesSession?: boolean
}

export interface ReaderPlan {
  readonly kind: "reader"
  readonly name: string
  readonly stream: string
  readonly version: number
  readonly bytesMax: number
  /** It says so, and gets what the server has compressed as it lies there. */
  readonly readsZstd?: boolean
  /** It fetches in a session (KIP-227), if its version has them. */
  readonly usesSession?: boolean
}

/** Writes to the partitions of a stream in transactions. */
export interface TransactorPlan {
  readonly kind: "transactor"
  readonly name: string
  readonly stream: string
  /** As it speaks with its coordinator (KIP-890). */
  readonly version: 1 | 2
  readonly transactions: number
  /** Chance of a transaction to be aborted. */
  readonly aborts: number
  /** Each of its transactions commits an offset of a group of its own. */
  readonly commitsOffsets?: boolean
  /** Chance of a transaction to be left open by a producer that another one replaces, and that asks for something once more. */
  readonly zombies?: number
  /** Chance of a transaction to be left open until it times out; and its timeout. */
  readonly stalls?: { readonly chance: number; readonly timeoutMs: number }
  readonly bytesMax: number
}

/** Begins so many transactional ids, one after the other. */
export interface NewcomersPlan {
  readonly kind: "newcomers"
  readonly name: string
  readonly ids: number
}

/** Has a transaction open in a stream that it deletes, which has its name. */
export interface AbandonerPlan {
  readonly kind: "abandoner"
  readonly name: string
}

/** A reader of committed records. */
export interface CommittedReaderPlan {
  readonly kind: "committedReader"
  readonly name: string
  readonly stream: string
  readonly version: number
  readonly bytesMax: number
}

/** Creates and deletes streams, writes to them, commits offsets of them. */
export interface SimpleConsumerPlan {
  readonly kind: "simpleConsumer"
  readonly name: string
  readonly stream: string
  readonly everyMsMax: number
}

export interface ChurnPlan {
  readonly kind: "churn"
  readonly name: string
  readonly streams: number
  readonly everyMs: number
}

/** A durable session of a few seconds, with a will that has a delay. */
export interface SleeperPlan {
  readonly kind: "sleeper"
  readonly name: string
  readonly sessionExpirySeconds: number
  readonly willDelaySeconds: number
  readonly staysMsMax: number
}

/** Reads a stream over MQTT, from its beginning. */
export interface StreamSubscriberPlan {
  readonly kind: "streamSubscriber"
  readonly name: string
  readonly isDurable: boolean
  readonly stream: string
  readonly qos: 0 | 1 | 2
  readonly receiveMaximum: number
  /** As of a subscriber. */
  readonly forgets: number
}

/** One of those who share `$share/g/s/#`. */
export interface SharerPlan {
  readonly kind: "sharer"
  readonly name: string
  /** It never ends, ends after a while, or with each connection. */
  readonly session: "long" | "short" | "none"
  readonly qos: 1 | 2
  readonly receiveMaximum: number
  readonly sessionExpirySeconds: number
  /** Of a delivery, to be left without its acknowledgement. */
  readonly forgets: number
  readonly staysMsMax: number
  readonly awayMsMax: number
}

/** One of those who share `$share/g/$stream/NAME`. */
export interface StreamSharerPlan extends Omit<SharerPlan, "kind"> {
  readonly kind: "streamSharer"
  readonly stream: string
}

export type ClientPlan =
  | SharerPlan
  | StreamSharerPlan
  | SleeperPlan
  | StreamSubscriberPlan
  | PublisherPlan
  | SubscriberPlan
  | ProducerPlan
  | MemberPlan
  | ReaderPlan
  | TransactorPlan
  | CommittedReaderPlan
  | AbandonerPlan
  | NewcomersPlan
  | ChurnPlan
  | SimpleConsumerPlan

export interface StreamPlan {
  readonly name: string
  /** By default "clientid". */
  readonly key?: string
  readonly filters: ReadonlyArray<string>
  readonly partitions: number
  readonly config: ReadonlyArray<readonly [string, string]>
}

/** All that a seed decides; plain data, so that it can be made smaller and kept in a file. */
export interface Plan {
  readonly seed: number
  /** Faults happen before this, simulated time. */
  readonly faultsMs: number
  /** After the last fault everybody must be done within this. */
  readonly restMs: number
  readonly limits: Partial<Limits>
  readonly disk: DiskPlan
  readonly settling: SettlingPlan
  readonly network: NetworkPlan
  readonly streams: ReadonlyArray<StreamPlan>
  readonly mishaps: ReadonlyArray<Mishap>
  readonly clients: ReadonlyArray<ClientPlan>
}

/** Bound to what publishers write; never deleted. */
export const boundStreams = ["telemetry", "audit"] as const
export const willStream = "wills"
export const freeStreams = ["orders", "payments"] as const
/** Written in transactions alone. */
export const transactionalStream = "ledger"
export const topics = ["s/a", "s/b", "n/b"] as const

const diskPlan = (random: Random): DiskPlan => {
  const isSlow = random.chance(0.15)
  return {
    segmentBytes: random.pick([8_000, 30_000, 120_000, 1_000_000_000]),
    latencyUsMin: isSlow ? 3000 : random.pick([50, 400]),
    latencyUsMax: isSlow ? 60_000 : random.pick([1000, 6000, 20_000]),
    stallChance: random.pick([0, 0, 0.005, 0.02]),
    stallMsMax: random.pick([50, 700])
  }
}

/** Members whose metadata has grown beyond it cannot join again. */
export const memberMetadataBytesMax = 1000

const networkPlan = (random: Random): NetworkPlan => ({
  latencyUsMin: 20,
  latencyUsMax: random.pick([300, 3000, 40_000]),
  cutting: random.pick([["whole"], ["some"], ["whole", "some", "tiny"], ["tiny"]] as const),
  lifeMsMax: random.pick([0, 4000, 15_000, 60_000])
})

const limitsPlan = (random: Random): Partial<Limits> => ({
  newConnectionsPerSecondMax: 1_000_000,
  commitPacingMs: random.pick([0, 2, 5, 5]),
  commitsInFlightMax: random.pick([1, 2, 4]),
  tailBytesMax: random.pick([2000, 32 * 1024 * 1024]),
  snapshotPageBytesMax: random.pick([300, 4000, 256 * 1024]),
  ...(random.chance(0.2) && { inboxCommandsMax: random.between(2, 20) }),
  ...(random.chance(0.15) && { inflightPerSessionMax: random.between(1, 3) }),
  ...(random.chance(0.1) && { offlineQueueMessagesMax: random.between(2, 30) }),
  ...(random.chance(0.2) && { synthesisedBatchBytesMax: 2000 }),
  ...(random.chance(0.15) && { commitInFlightBytesMax: 20_000 })
})

/** Steps of the machine's clock, 20 s at most, that retention does not believe at once. */
const clockLimits = (random: Random): Partial<Limits> =>
  random.chance(0.5) ? { clockAheadMsMax: random.between(1, 5000), clockHoldMs: random.between(200, 10_000) } : {}

/** Offsets that expire soon, and a bound of a member's metadata that some come to. */
const groupLimits = (random: Random): Partial<Limits> => ({
  groupOffsetsRetentionMs: random.pick([3000, 8000, 8000, 604_800_000]),
  groupMetadataBytesMax: memberMetadataBytesMax
})

const mishap = (random: Random, latest: Random, untilMs: number): Mishap => {
  const atMs = random.between(300, untilMs)
  const downMs = random.tail(5, 9000)
  const roll = random.next()
  if (roll < 0.4) return { kind: "crash", atMs, downMs }
  if (roll < 0.52) return { kind: "stop", atMs, downMs }
  if (roll < 0.66) return { kind: "diskFails", atMs, inAppends: random.between(1, 20), downMs }
  if (roll < 0.74) return { kind: "diskLow", atMs, lastsMs: random.between(200, 3000) }
  if (roll < 0.82) return { kind: "clockStep", atMs, byMs: random.pick([-20_000, -900, -50, 50, 900, 20_000]) }
  if (roll < 0.92) return { kind: "kick", atMs }
  return { kind: "poison", atMs, actorKind: random.pick(actorKinds), times: latest.pick([1, 1, 2]) }
}

/** So far that it passes a session's whole expiry. */
const clockSteps = (random: Random): ReadonlyArray<Mishap> =>
  random.chance(0.3)
    ? [{ kind: "clockStep", atMs: random.between(1000, 8000), byMs: random.pick([-20_000, 20_000]) }]
    : []

const sleeper = (random: Random): SleeperPlan => ({
  kind: "sleeper",
  name: "z0",
  sessionExpirySeconds: random.between(3, 10),
  willDelaySeconds: random.pick([0, 2, 5, 20]),
  staysMsMax: random.pick([500, 4000])
})

/** In some plans all sessions never end, so that nothing of QoS 2 goes with one. */
const streamSharers = (random: Random): ReadonlyArray<StreamSharerPlan> => {
  if (!random.chance(0.5)) return []
  const qos = random.pick([1, 2] as const)
  const stream = random.pick([...freeStreams, ...boundStreams])
  const sessions = random.pick([["long"], ["long", "short", "none"]] as const)
  return times(random.between(2, 3), (i) => ({
    kind: "streamSharer",
    name: `y${i}`,
    session: random.pick(sessions),
    stream,
    qos,
    receiveMaximum: random.pick([1, 3, 100]),
    sessionExpirySeconds: random.between(1, 6),
    forgets: random.pick([0, 0.1, 0.3]),
    staysMsMax: random.pick([400, 2000, 8000]),
    awayMsMax: random.pick([20, 1500, 9000])
  }))
}

/** The first one's session never ends. */
const sharers = (random: Random): ReadonlyArray<SharerPlan> => {
  if (!random.chance(0.5)) return []
  const qos = random.pick([1, 1, 2] as const)
  return times(random.between(2, 4), (i) => ({
    kind: "sharer",
    name: `h${i}`,
    session: i === 0 ? "long" : random.pick(["short", "none", "none", "long"] as const),
    qos,
    receiveMaximum: random.pick([1, 3, 100]),
    sessionExpirySeconds: random.between(1, 6),
    forgets: random.pick([0, 0.1, 0.5]),
    staysMsMax: random.pick([400, 2000, 8000]),
    awayMsMax: random.pick([20, 1500, 9000])
  }))
}

const simpleConsumer = (random: Random): SimpleConsumerPlan => ({
  kind: "simpleConsumer",
  name: "o0",
  stream: freeStreams[0],
  everyMsMax: random.pick([500, 3000, 9000])
})

const actorKinds = ["partition", "group", "session", "catalog"] as const

const publisher = (random: Random, later: Random, i: number): PublisherPlan => ({
  kind: "publisher",
  name: `p${i}`,
  version: random.pick([4, 5, 5]),
  isDurable: random.chance(0.8),
  messages: random.between(10, 60),
  window: random.pick([1, 4, 20]),
  everyMs: random.pick([0, 20, 200]),
  qos0: random.pick([0, 0.2]),
  qos1: random.pick([0, 0.4, 0.8]),
  retained: random.pick([0, 0.1]),
  hasWill: random.chance(0.5),
  bytesMax: random.pick([20, 200, 200, 6000]),
  releasesWithinMs: later.pick([0, 0, 3000])
})

const subscriber = (random: Random, i: number): SubscriberPlan => ({
  kind: "subscriber",
  name: `u${i}`,
  version: random.pick([4, 5, 5]),
  isDurable: random.chance(0.8),
  filters: random.pick([
    [["s/#", 2]],
    [["s/a", 1]],
    [
      ["s/+", 1],
      ["n/#", 2]
    ],
    [
      ["s/#", 2],
      ["s/a", 1]
    ],
    [["n/b", 2]]
  ] as const),
  receiveMaximum: random.pick([1, 3, 100]),
  forgets: random.pick([0, 0, 0.02])
})

const streamSubscriber = (random: Random, i: number): StreamSubscriberPlan => ({
  kind: "streamSubscriber",
  name: `v${i}`,
  isDurable: random.chance(0.75),
  stream: random.pick([...freeStreams, ...boundStreams]),
  qos: random.pick([0, 1, 2, 2]),
  receiveMaximum: random.pick([1, 3, 100]),
  forgets: random.pick([0, 0, 0.02])
})

const producer = (random: Random, later: Random, i: number): ProducerPlan => ({
  kind: "producer",
  name: `k${i}`,
  beginsMs: later.pick([0, 0, later.between(0, 10_000)]),
  stream: random.pick(freeStreams),
  partition: random.between(0, 1),
  isIdempotent: random.chance(0.8),
  batches: random.between(8, 50),
  inFlight: random.between(1, 5),
  everyMs: random.pick([0, 20, 200]),
  version: random.between(3, 11),
  bytesMax: random.pick([50, 300, 5000, 40_000])
})

const member = (random: Random, i: number, group: string, staysMs: number, isStatic: boolean): MemberPlan => ({
  kind: "member",
  name: `m${i}`,
  group,
  streams: random.chance(0.6) ? [freeStreams[0]] : [freeStreams[0], freeStreams[1]],
  instanceId: isStatic ? `i${i}` : null,
  joinVersion: isStatic ? random.between(5, 9) : random.between(0, 9),
  sessionTimeoutMs: random.pick([6000, 8000]),
  staysMs
})

const members = (random: Random): Array<MemberPlan> => {
  const isStatic = random.chance(0.4)
  const group = "g"
  const all = times(random.between(0, 4), (i) =>
    member(random, i, group, random.chance(0.5) ? random.between(1500, 12_000) : 0, isStatic && random.chance(0.7))
  )
  const streams = all[0]?.streams ?? []
  return all.map((each) => ({ ...each, streams }))
}

/** What this seed stands for. */
export const makePlan = (seed: number): Plan =>
  withNewcomers(
    withCopiers(withTopicSettings(withTransactions(withOldVersions(withNewVersions(withCompaction(basePlan(seed)))))))
  )

/** Some streams of producers have settings by which the server changes what it stores. */
const withTopicSettings = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/logAppendTime")
  const codecs = new Random(plan.seed, "plan/compressionType")
  const mayHave: ReadonlyArray<string> = [...freeStreams, transactionalStream]
  const streams = plan.streams.map((stream): StreamPlan => {
    if (!mayHave.includes(stream.name)) return stream
    const config = [...stream.config]
    if (random.chance(0.5)) config.push(["message.timestamp.type", "LogAppendTime"])
    if (codecs.chance(0.3)) config.push(["compression.type", codecs.pick(["uncompressed", "gzip", "lz4", "zstd"])])
    return { ...stream, config }
  })
  return { ...plan, streams }
}

/** Some write a stream in transactions, which others read over Kafka and over MQTT. */
const withTransactions = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/transactions")
  if (!random.chance(0.6)) return plan
  const stream = transactionalStream
  const config = random.chance(0.3) ? ([["retention.bytes", String(random.between(500, 20_000))]] as const) : []
  const reader = streamSubscriber(random, 9)
  return {
    ...plan,
    streams: [...plan.streams, { name: stream, filters: [], partitions: 2, config }],
    clients: [
      ...plan.clients,
      ...times(random.between(1, 3), (i): TransactorPlan => ({
        kind: "transactor",
        name: `t${i}`,
        stream,
        version: random.pick([1, 2, 2]),
        transactions: random.between(3, 20),
        aborts: random.pick([0.2, 0.5]),
        bytesMax: random.pick([50, 300, 5000])
      })),
      ...times(random.between(1, 2), (i): CommittedReaderPlan => ({
        kind: "committedReader",
        name: `x${i}`,
        stream,
        version: random.between(4, 12),
        bytesMax: random.pick([200, 10_000, 1_000_000])
      })),
      ...(random.chance(0.6) ? [{ ...reader, name: "w0", stream }] : [])
    ]
  }
}

/** Most consumers fetch in sessions, and some clients have the newest versions. */
const withNewVersions = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/newVersions")
  const clients = plan.clients.map((client): ClientPlan => {
    if (client.kind === "producer")
      return { ...client, version: random.chance(0.3) ? random.between(12, 13) : client.version }
    if (client.kind !== "reader" && client.kind !== "member") return client
    const usesSession = random.chance(0.7)
    if (client.kind === "member") return { ...client, usesSession }
    return { ...client, usesSession, version: random.chance(0.2) ? 18 : client.version }
  })
  return { ...plan, clients }
}

/** Most of the producers of transactions commit offsets in them, are replaced in the middle of one, or let one time out. */
const withCopiers = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/copiers")
  const clients = plan.clients.map((client): ClientPlan => {
    if (client.kind !== "transactor") return client
    const stalls = { chance: random.pick([0.1, 0.3]), timeoutMs: random.between(3000, 9000) }
    return {
      ...client,
      commitsOffsets: random.chance(0.7),
      zombies: random.pick([0, 0.2, 0.5]),
      ...(random.chance(0.4) && { stalls })
    }
  })
  return { ...plan, clients }
}

/** In some runs there are more transactional ids than may be: those that have no transaction give way. */
const withNewcomers = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/newcomers")
  const transactors = plan.clients.filter(({ kind }) => kind === "transactor").length
  if (transactors === 0 || !random.chance(0.4)) return plan
  const newcomers: NewcomersPlan = { kind: "newcomers", name: "n0", ids: random.between(5, 40) }
  // As many as may have transactions, with the one of a stream that is deleted, and a place to begin in.
  const transactionalIdsMax = transactors + 2
  return { ...plan, limits: { ...plan.limits, transactionalIdsMax }, clients: [...plan.clients, newcomers] }
}

/** Half of the clients of MQTT 3.1.1 speak MQTT 3.1. */
const withOldVersions = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/oldVersions")
  const clients = plan.clients.map((client): ClientPlan => {
    if (client.kind !== "publisher" && client.kind !== "subscriber") return client
    return client.version === 4 && random.chance(0.5) ? { ...client, version: 3 } : client
  })
  return { ...plan, clients }
}

const basePlan = (seed: number): Plan => {
  const random = new Random(seed, "plan")
  // Of its own, so that what came to the plan later has not changed what older seeds stand for.
  const later = new Random(seed, "plan/later")
  const latest = new Random(seed, "plan/latest")
  const groups = new Random(seed, "plan/groups")
  const streams = new Random(seed, "plan/streams")
  const faultsMs = random.pick([2000, 6000, 12_000, 25_000])
  const calm = random.chance(0.1)
  const retention = random.chance(0.3) ? ([["retention.bytes", String(random.between(500, 20_000))]] as const) : []
  return {
    seed,
    faultsMs,
    restMs: 180_000,
    limits: { ...limitsPlan(random), ...clockLimits(new Random(seed, "plan/clock")), ...groupLimits(groups) },
    disk: diskPlan(random),
    network: calm ? { ...networkPlan(random), lifeMsMax: 0 } : networkPlan(random),
    streams: [
      { name: boundStreams[0], filters: ["s/#"], partitions: random.between(1, 3), config: [] },
      { name: boundStreams[1], filters: ["s/a", "+/a"], partitions: 1, config: [] },
      { name: willStream, filters: ["w/#"], partitions: 1, config: [] },
      { name: freeStreams[0], filters: [], partitions: 2, config: retention },
      { name: freeStreams[1], filters: [], partitions: 2, config: [] }
    ],
    mishaps: calm
      ? []
      : [...times(random.between(0, 6), () => mishap(random, latest, faultsMs)), ...clockSteps(latest)],
    clients: [
      ...times(random.between(0, 3), (i) => publisher(random, later, i)),
      ...times(random.between(0, 3), (i) => subscriber(random, i)),
      ...times(random.between(0, 3), (i) => producer(random, later, i)),
      ...members(random),
      ...times(random.between(0, 2), (i): ReaderPlan => ({
        kind: "reader",
        name: `r${i}`,
        stream: random.pick([...freeStreams, ...boundStreams]),
        version: random.between(4, 17),
        bytesMax: random.pick([200, 10_000, 1_000_000])
      })),
      ...(random.chance(0.4)
        ? [{ kind: "churn", name: "c0", streams: random.between(1, 5), everyMs: 300 } satisfies ChurnPlan]
        : []),
      ...(latest.chance(0.4) ? [sleeper(latest)] : []),
      ...sharers(new Random(seed, "plan/shared")),
      ...streamSharers(new Random(seed, "plan/streamShared")),
      ...(groups.chance(0.6) ? [simpleConsumer(groups)] : []),
      ...times(streams.between(0, 2), (i) => streamSubscriber(streams, i)),
      ...(new Random(seed, "plan/abandoned").chance(0.15)
        ? [{ kind: "abandoner", name: "abandoned" } satisfies AbandonerPlan]
        : [])
    ],
    settling: {
      isOn: latest.chance(0.6),
      lookEveryMs: latest.pick([200, 1000, 5000]),
      freedBytesMin: latest.pick([1, 2000, 20_000])
    }
  }
}
