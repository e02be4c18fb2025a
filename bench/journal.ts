/**
 * Commits of the journal by size on a disk (in the directory given, or the system's temporary one), and what a paced
 * shard writes per payload byte. Everything in one process. Proves nothing about a server's other load on the same core,
 * about long runs, or about what the file system and the device write on top. Written bytes are the kernel's count for
 * this process, and may be more than what the device takes: it has said 4.7 where the device had taken about 1.35.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { systemClock } from "@logbrook/core/Clock"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import type { Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { noHeaders } from "@logbrook/core/Record"
import type { PartitionBatch } from "@logbrook/core/shard/Intake"
import type { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { startedShard } from "../packages/core/test/support/oneShard.ts"
import { ToyPartition } from "../packages/core/test/support/toys.ts"

const seconds = 5
const inFlightMax = 4
const payload = Buffer.alloc(100, 120)
const root = process.argv[2] ?? tmpdir()

const withJournal = async (measure: (journal: Journal) => Promise<void>): Promise<void> => {
  const directory = mkdtempSync(join(root, "logbrook-bench-"))
  const { segmentBytesMax, segmentIndexEntriesMax } = defaultLimits
  const journal = LmdbJournal.open({
    directory,
    segmentBytes: segmentBytesMax,
    segmentRefsMax: segmentIndexEntriesMax
  })
  try {
    await measure(journal)
  } finally {
    await journal.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

const nextTurn = (): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  setImmediate(resolve)
  return promise
}

const later = (ms: number): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, ms)
  return promise
}

/** Bytes that this process has sent to the device, as far as the kernel has them. */
const deviceBytes = (): number => Number(/write_bytes: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))![1])

const percentile = (sorted: ReadonlyArray<number>, share: number): string =>
  (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1)

interface Shape {
  readonly events: number
  readonly batches: number
  readonly batchBytes: number
}

const commitOf = (firstSeq: number, { events, batches, batchBytes }: Shape) => {
  const frame = new FrameBuilder(firstSeq, 1, systemClock.nowMs())
  for (let i = 0; i < events; i++) frame.event(groupActor(String(i)), 1, payload, {})
  for (let i = 0; i < batches; i++) {
    const bytes = Buffer.allocUnsafe(batchBytes).fill(i)
    const times = { firstTimestampMs: 0, maxTimestampMs: 0 }
    frame.records(
      { logId: i, baseOffset: firstSeq, count: 1, ...times, bytes, verbatim: true, producer: undefined },
      {}
    )
  }
  return frame.build().commit
}

const commits = (name: string, shape: Shape): Promise<void> =>
  withJournal(async (journal) => {
    const timesMs: Array<number> = []
    let seq = 1
    const state = { inFlight: 0 }
    let bytes = 0
    const written = deviceBytes()
    const began = performance.now()
    while (performance.now() - began < seconds * 1000) {
      for (; state.inFlight < inFlightMax; state.inFlight++) {
        const commit = commitOf(seq, shape)
        seq = commit.nextSeq
        bytes += shape.events * payload.length + shape.batches * shape.batchBytes
        const atMs = performance.now()
        journal.append(commit, (failure) => {
          if (failure !== undefined) throw new Error(failure.detail)
          timesMs.push(performance.now() - atMs)
          state.inFlight--
        })
      }
      await nextTurn()
    }
    while (state.inFlight > 0) await nextTurn()
    const tookSeconds = (performance.now() - began) / 1000
    const sorted = timesMs.toSorted((a, b) => a - b)
    const events = (timesMs.length * shape.events) / tookSeconds
    console.log(
      `${name}: ${(bytes / 1e6 / tookSeconds).toFixed(0)} MB/s, ${(events / 1000).toFixed(0)} k events/s, ` +
        `p50/p99 ${percentile(sorted, 0.5)}/${percentile(sorted, 0.99)} ms, ` +
        `${((deviceBytes() - written) / bytes).toFixed(1)} bytes written per byte`
    )
  })

const makeShard = (journal: Journal, commitMs: Array<number>): Shard => {
  const definitions = [ShardActor, ToyPartition]
  const shard = startedShard({ journal, limits: defaultLimits, definitions, onTrouble: console.error })
  shard.onCommit = (durationMs) => commitMs.push(durationMs)
  return shard
}

/** Messages of 100 B through a shard as it ships, paced to `perSecond`, or as many as go in. */
const messages = (partitions: number, perSecond: number): Promise<void> =>
  withJournal(async (journal) => {
    const shard = makeShard(journal, [])
    const latencyMs: Array<number> = []
    const offeredMs: Array<number> = []
    const state = { told: 0, offered: 0 }
    const receiver = {
      acked: (token: number, batch: PartitionBatch | undefined): void => {
        if (batch?.refusal !== undefined) throw new Error("refused")
        state.told++
        if (token % 16 === 0) latencyMs.push(performance.now() - offeredMs[token / 16]!)
      }
    }
    const publish = (): void => {
      const batch = shard.partitionBatch(1 + (state.offered % partitions), "bench")
      const before = batch.records.byteLength
      batch.records.append(null, payload, noHeaders, systemClock.nowMs())
      shard.recordsAdded(batch.records.byteLength - before)
      if (state.offered % 16 === 0) offeredMs.push(performance.now())
      shard.ack(receiver, state.offered++, batch, batch.records.count - 1)
    }
    await shard.completed()
    const written = deviceBytes()
    const began = performance.now()
    for (let ms = 0; ms < seconds * 1000; ms = performance.now() - began) {
      const due = perSecond === Infinity ? state.offered + 2048 : Math.floor((ms / 1000) * perSecond)
      const room = Math.min(due - state.offered, 200_000 - (state.offered - state.told))
      for (let i = 0; i < room && shard.hasRoom; i++) publish()
      await (perSecond === Infinity ? nextTurn() : later(1))
    }
    while (state.told < state.offered) await nextTurn()
    const tookSeconds = (performance.now() - began) / 1000
    const sorted = latencyMs.toSorted((a, b) => a - b)
    const rate = perSecond === Infinity ? "saturated" : `${perSecond}/s`
    console.log(
      `100 B messages, ${partitions} partitions, ${rate}: ${((state.told * 100) / 1e6 / tookSeconds).toFixed(1)} MB/s, ` +
        `${(state.told / tookSeconds / 1000).toFixed(1)} k messages/s, ` +
        `p50/p99 ${percentile(sorted, 0.5)}/${percentile(sorted, 0.99)} ms, ` +
        `${((deviceBytes() - written) / (state.told * 100)).toFixed(1)} bytes written per byte`
    )
    const drained = shard.drained()
    await drained
    shard.stop()
  })

await commits("256 events of 100 B + 16 batches of 16 KB", { events: 256, batches: 16, batchBytes: 16_368 })
await commits("256 events of 100 B", { events: 256, batches: 0, batchBytes: 0 })
await messages(16, Infinity)
await messages(1024, Infinity)
await messages(16, 1000)
await messages(16, 10_000)
await messages(1024, 10_000)
process.exit(0)
