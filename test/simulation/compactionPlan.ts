import type { Mishap, Plan, ProducerPlan, PublisherPlan, ReaderPlan, StreamPlan } from "./Plan.ts"
import { Random, times } from "./Random.ts"

/** The free stream and the bound one that are compacted. */
const pricesStream = "prices"
const latestStream = "latest"
const convertedStream = "converted"
const partitions = 2

const config = (random: Random): StreamPlan["config"] => {
  const lagMs = random.pick([0, 0, 1000, 6000])
  return [
    ["cleanup.policy", random.pick(["compact", "compact", "compact,delete"])],
    ["min.cleanable.dirty.ratio", random.pick(["0", "0.1", "0.5"])],
    ["min.compaction.lag.ms", String(lagMs)],
    ["delete.retention.ms", String(random.pick([0, 500, 3000]))],
    ...(random.chance(0.5) ? ([["max.compaction.lag.ms", String(Math.max(500, 2 * lagMs))]] as const) : []),
    ...(random.chance(0.3) ? ([["retention.bytes", String(random.between(3000, 20_000))]] as const) : [])
  ]
}

const producer = (random: Random, i: number, faultsMs: number): ProducerPlan => {
  const batches = random.between(20, 120)
  return {
    kind: "producer",
    name: `q${i}`,
    beginsMs: random.pick([0, random.between(0, faultsMs)]),
    stream: pricesStream,
    partition: random.between(0, partitions - 1),
    isIdempotent: random.chance(0.7),
    batches,
    inFlight: random.between(1, 5),
    everyMs: random.pick([0, 20, Math.round(faultsMs / batches)]),
    version: random.between(7, 11),
    bytesMax: random.pick([50, 300, 3000]),
    keyed: {
      keys: random.pick([2, 6, 20]),
      tombstones: random.pick([0, 0.1, 0.4]),
      codec: random.pick(["none", "none", "gzip", "snappy", "lz4", "zstd"]),
      clockAheadMs: random.pick([0, 0, -3000, 2000])
    }
  }
}

const publisher = (random: Random, i: number, faultsMs: number): PublisherPlan => {
  const messages = random.between(30, 200)
  return {
    kind: "publisher",
    name: `l${i}`,
    version: 5,
    isDurable: random.chance(0.8),
    messages,
    window: random.pick([1, 4, 20]),
    everyMs: random.pick([0, 20, Math.round(faultsMs / messages)]),
    qos0: random.pick([0, 0.2]),
    qos1: random.pick([0.4, 0.8]),
    retained: random.pick([0, 0.5]),
    hasWill: false,
    bytesMax: random.pick([20, 300]),
    releasesWithinMs: 0,
    lastValues: { topics: random.pick([2, 6, 20]), tombstones: random.pick([0, 0.1, 0.4]) }
  }
}

const crash = (random: Random, faultsMs: number): Mishap => ({
  kind: "crashCompacting",
  atMs: random.between(300, faultsMs),
  downMs: random.tail(5, 4000),
  when: random.pick(["written", "adopted"])
})

const reader = (random: Random, i: number): ReaderPlan => ({
  kind: "reader",
  name: `v${i}`,
  stream: random.pick([pricesStream, latestStream]),
  version: random.between(10, 17),
  bytesMax: random.pick([200, 2000, 1_000_000]),
  readsZstd: random.chance(0.5)
})

/** A stream that is not compacted at first, and its one producer. */
const conversion = (random: Random, faultsMs: number): Pick<Plan, "streams" | "clients"> => {
  const made = producer(random, 9, faultsMs)
  const convertsAfter = random.pick([made.batches, random.between(1, made.batches)])
  const settings = config(random).filter(([name]) => name !== "cleanup.policy" && name !== "retention.bytes")
  return {
    streams: [
      { name: convertedStream, filters: [], partitions: 1, config: [["cleanup.policy", "delete"], ...settings] }
    ],
    clients: [
      { ...made, stream: convertedStream, partition: 0, keyed: { ...made.keyed!, convertsAfter } },
      { ...reader(random, 9), stream: convertedStream }
    ]
  }
}

/** Some plans have streams that are compacted beside the others, in segments that are small enough for it. */
export const withCompaction = (plan: Plan): Plan => {
  const random = new Random(plan.seed, "plan/compaction")
  if (!random.chance(0.4)) return plan
  const { faultsMs, clients, mishaps } = plan
  const isCalm = mishaps.length === 0
  const converted = random.chance(0.4) ? conversion(random, faultsMs) : { streams: [], clients: [] }
  return {
    ...plan,
    limits: { ...plan.limits, compactionKeysBytesMax: random.pick([64 * 1024 * 1024, 3000, 400]) },
    disk: { ...plan.disk, segmentBytes: random.pick([3000, 8000, 20_000]) },
    settling: { ...plan.settling, isOn: true, lookEveryMs: random.pick([100, 300, 1000]) },
    streams: [
      ...plan.streams,
      { name: pricesStream, filters: [], partitions, config: config(random) },
      { name: latestStream, filters: ["v/#"], partitions, key: "topic", config: config(random) },
      ...converted.streams
    ],
    mishaps: isCalm ? mishaps : [...mishaps, ...times(random.between(0, 3), () => crash(random, faultsMs))],
    clients: [
      ...clients,
      ...times(random.between(1, 3), (i) => producer(random, i, faultsMs)),
      ...times(random.between(0, 2), (i) => publisher(random, i, faultsMs)),
      ...times(random.between(0, 2), (i) => reader(random, i)),
      ...converted.clients
    ]
  }
}
