/**
 * A journal at full retention: appends at a steady rate to two streams, of which one keeps much less time than the other, and
 * to a third that keeps the newest record of each key; segments are settled, rewritten, merged and compacted beside them, and the
 * oldest records are read all the time.
 * `node --conditions=source bench/retention.ts [--minutes 10] [--rate 5000] [--segment-mib 32] [directory]`. Everything but the settling is in
 * one process. Fails if a read gives anything but the record that was appended there, or if the newest record of a key is gone.
 * Proves nothing about sockets, about many partitions, or about a cold disk: what is read was written minutes before.
 */
import { createCipheriv } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { noHeaders, iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { inChildProcess } from "@logbrook/core/settle/childProcess"
import { Settler } from "@logbrook/core/settle/Settler"
import type { PartitionBatch } from "@logbrook/core/shard/Intake"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { startedShard } from "../packages/core/test/support/oneShard.ts"
import { ToyPartition } from "../packages/core/test/support/toys.ts"

const { values, positionals } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    rate: { type: "string", default: "5000" },
    "segment-mib": { type: "string", default: "32" }
  },
  allowPositionals: true
})
const MiB = 1024 * 1024
const segmentBytes = Number(values["segment-mib"]) * MiB
const messageBytes = 1024
const streams = [
  { logId: 1, share: 0.8, retentionBytes: 64 * MiB },
  { logId: 2, share: 0.1, retentionBytes: 24 * MiB }
]
/** Gets what is left of the messages; key after key. */
const compacted = { logId: 3, keys: 10_000 }
const perSecond = Number(values.rate)
/** After both streams are full: until what was settled before that is rewritten. */
const settlingInMs = 20_000

const directory = fs.mkdtempSync(path.join(positionals[0] ?? os.tmpdir(), "logbrook-retention-"))
const journal = LmdbJournal.open({ directory, segmentBytes, segmentRefsMax: defaultLimits.segmentIndexEntriesMax })
const fail = (what: string, detail: unknown): never => {
  console.error(what, detail)
  process.exit(1)
}
const definitions = [ShardActor, ToyPartition]
const shard = startedShard({ journal, limits: defaultLimits, definitions, onTrouble: fail })

/** Bytes that do not compress, with the record's offset in front. */
const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2)).update(Buffer.alloc(1 << 22))
const payloadOf = (offset: number): Buffer => {
  const at = (offset * 613) % (noise.length - messageBytes)
  const payload = Buffer.from(noise.subarray(at, at + messageBytes))
  payload.writeDoubleLE(offset)
  return payload
}

const keyOf = (offset: number): Buffer => Buffer.from(`key ${offset % compacted.keys}`)

interface Sample {
  readonly latencyMs: number
  /** A worker was settling, rewriting or merging when the message came, or when it was acknowledged. */
  readonly isBeside: boolean
}

const state = { offered: 0, told: 0, working: 0, heldMs: 0, holdAtMs: 0, reads: 0, readErrors: 0, appendedBytes: 0 }
const samples: Array<Sample> = []
const counts = new Map<number, number>()
const kinds = new Map<string, { jobs: number; bytesIn: number; bytesOut: number }>()

const settler = new Settler({
  journal,
  logs: shard.logs,
  clock: systemClock,
  work: (job) => {
    state.working++
    const work = inChildProcess(job)
    void work.done.then(() => state.working--)
    return work
  },
  rewriting: {
    segmentBytes,
    freedBytesMin: MiB,
    lookEveryMs: 1000,
    keptFromSeq: () => shard.keptFromSeq(() => false)
  },
  compaction: {
    settings: () => [[compacted.logId, effectiveConfig(new Map())]],
    mapBytesMax: defaultLimits.compactionKeysBytesMax
  },
  onHold: (isHeld) => {
    shard.hold(isHeld)
    if (isHeld) state.holdAtMs = performance.now()
    else state.heldMs += performance.now() - state.holdAtMs
  },
  onSettled: (_segment, { bytesIn, bytesOut }, _durationMs, kind) => {
    const sum = kinds.get(kind) ?? { jobs: 0, bytesIn: 0, bytesOut: 0 }
    kinds.set(kind, { jobs: sum.jobs + 1, bytesIn: sum.bytesIn + bytesIn, bytesOut: sum.bytesOut + bytesOut })
  },
  onFailed: (segment, detail) => fail(segment, detail)
})
settler.start()

/** The sampled messages that are under way, by their tokens. */
const offeredAt = new Map<number, { readonly atMs: number; readonly isBeside: boolean }>()
const receiver = {
  acked: (token: number, batch: PartitionBatch | undefined): void => {
    if (batch?.refusal !== undefined) fail("refused", batch.refusal)
    state.told++
    const sample = offeredAt.get(token)
    if (sample === undefined) return
    offeredAt.delete(token)
    const isBeside = sample.isBeside || state.working > 0
    samples.push({ latencyMs: performance.now() - sample.atMs, isBeside })
  }
}

const publish = (logId: number): void => {
  const batch = shard.partitionBatch(logId, "bench")
  const before = batch.records.byteLength
  const offset = counts.get(logId) ?? 0
  counts.set(logId, offset + 1)
  const key = logId === compacted.logId ? keyOf(offset) : null
  batch.records.append(key, payloadOf(offset), noHeaders, systemClock.nowMs())
  shard.recordsAdded(batch.records.byteLength - before)
  if (state.offered % 16 === 0) {
    offeredAt.set(state.offered, { atMs: performance.now(), isBeside: state.working > 0 })
  }
  shard.ack(receiver, state.offered++, batch, batch.records.count - 1)
}

const retain = (): void => {
  for (const { logId, retentionBytes } of streams) {
    const log = shard.logs.log(logId)
    const offset = log.expiredAbove(retentionBytes)
    if (offset <= log.startOffset) continue
    shard.offer({ to: `partition/${logId}`, command: { _tag: "MoveLogStart", offset }, cause: { origin: "bench" } })
  }
  void shard.dropExpiredSegments()
}

/** The oldest records, and some that are somewhere else: each must be what was appended there. */
const read = (): void => {
  for (const { logId } of [...streams, compacted]) {
    const log = shard.logs.log(logId)
    const span = log.highWatermark - log.startOffset
    for (const offset of [log.startOffset, log.startOffset + Math.floor(((state.reads * 0.618) % 1) * span)]) {
      if (span === 0) continue
      state.reads++
      try {
        const batches = shard.logs.read(log, offset, 256 * 1024)
        if (!isWhole(batches, logId === compacted.logId ? undefined : offset)) state.readErrors++
      } catch (error) {
        console.error(error)
        state.readErrors++
      }
    }
  }
}

/** `offset`: what must be among them. */
const isWhole = (batches: ReadonlyArray<Uint8Array>, offset: number | undefined): boolean => {
  let isFound = offset === undefined && batches.length > 0
  let isRight = true
  for (const batch of batches) {
    iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
      const at = RecordBatch.baseOffset(batch) + record.offsetDelta
      const value = record.value()!
      isFound ||= at === offset
      isRight &&= Buffer.from(value).equals(payloadOf(at))
    })
  }
  return isFound && isRight
}

/** Of the compacted stream: keys whose newest record is not there. */
const lostKeys = (): number => {
  const log = shard.logs.log(compacted.logId)
  const newest = new Map<string, number>()
  for (let at = log.startOffset; at < log.highWatermark;) {
    const batches = shard.logs.read(log, at, MiB)
    if (batches.length === 0) fail("nothing to read at offset", at)
    for (const batch of batches) {
      iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
        newest.set(Buffer.from(record.key()!).toString(), RecordBatch.baseOffset(batch) + record.offsetDelta)
      })
      at = RecordBatch.baseOffset(batch) + RecordBatch.lastOffsetDelta(batch) + 1
    }
  }
  let lost = 0
  const firstOffset = Math.max(0, log.highWatermark - compacted.keys)
  for (let offset = firstOffset; offset < log.highWatermark; offset++) {
    if (newest.get(keyOf(offset).toString()) !== offset) lost++
  }
  return lost
}

const diskBytes = (): number => {
  let bytes = 0
  for (const name of fs.readdirSync(directory)) {
    bytes += (fs.statSync(path.join(directory, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes
}

const sleep = (ms: number): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, ms)
  return promise
}

const quantile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.floor(share * (sorted.length - 1))] ?? NaN

const shown = (found: ReadonlyArray<Sample>): string => {
  const sorted = found.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b)
  const at = (share: number): string => quantile(sorted, share).toFixed(1)
  return `p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms of ${sorted.length}`
}

const mb = (bytes: number): string => (bytes / 1e6).toFixed(1)

const logOf = (message: number): number => {
  let tenth = message % 10
  for (const { logId, share } of streams) {
    if (tenth < share * 10) return logId
    tenth -= share * 10
  }
  return compacted.logId
}

const beganMs = performance.now()
const endMs = beganMs + Number(values.minutes) * 60_000
let warmAtMs = Infinity
let lookedMs = 0
const disk: Array<number> = []
while (performance.now() < endMs) {
  const nowMs = performance.now()
  const due = Math.floor(((nowMs - beganMs) / 1000) * perSecond) - state.offered
  const behindMax = perSecond
  for (let i = 0; i < due && shard.hasRoom && state.offered - state.told < behindMax; i++) {
    publish(logOf(state.offered))
  }
  if (nowMs - lookedMs >= 200) {
    lookedMs = nowMs
    retain()
    read()
    if (streams.every(({ logId }) => shard.logs.log(logId).startOffset > 0)) {
      warmAtMs = Math.min(warmAtMs, nowMs + settlingInMs)
    }
    if (nowMs >= warmAtMs) disk.push(diskBytes())
    else samples.length = 0
  }
  await sleep(1)
}
if (disk.length === 0) fail("too short", "the streams were not full before the end: more minutes, or a higher rate")

const heldMs = state.heldMs + (settler.isHolding ? performance.now() - state.holdAtMs : 0)
await settler.stop()
await shard.drained()
shard.stop()
const lost = lostKeys()
const [least, most] = [Math.min(...disk), Math.max(...disk)]
const middle = (least + most) / 2
const needed = streams.reduce((sum, { retentionBytes }) => sum + retentionBytes, compacted.keys * messageBytes)
const quiet = samples.filter(({ isBeside }) => !isBeside)
const beside = samples.filter(({ isBeside }) => isBeside)
const p99 = (found: ReadonlyArray<Sample>): number =>
  quantile(
    found.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b),
    0.99
  )
const written = [...kinds.values()].reduce((sum, { bytesOut }) => sum + bytesOut, 0)
const minutes = (endMs - warmAtMs) / 60_000
console.log(
  `${state.offered} messages of ${messageBytes} B, ${perSecond}/s; ${minutes.toFixed(1)} minutes after warm-up`
)
console.log(
  `disk: ${mb(least)} to ${mb(most)} MB, ±${((100 * (most - least)) / 2 / middle).toFixed(0)} %; ` +
    `the streams keep ${mb(needed)} MB`
)
console.log(
  `appends: quiet ${shown(quiet)}; beside a worker ${shown(beside)}; p99 ${(p99(beside) / p99(quiet)).toFixed(1)}x`
)
console.log(
  `appends waited for settling ${heldMs.toFixed(0)} ms in all; reads ${state.reads}, errors ${state.readErrors}; keys lost ${lost}`
)
for (const [kind, { jobs, bytesIn, bytesOut }] of kinds) {
  console.log(`${kind}: ${jobs} times, ${mb(bytesIn)} -> ${mb(bytesOut)} MB`)
}
const amplification = (journal.appendedBytes + written) / shard.logs.appendedBytes
console.log(`${amplification.toFixed(2)} bytes written per byte of records`)
await journal.close()
fs.rmSync(directory, { recursive: true })
process.exit(state.readErrors === 0 && lost === 0 ? 0 : 1)
