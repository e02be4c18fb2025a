/**
 * Settling: bytes stored per message, records/s read from settled segments, and how long appends take while a segment is
 * settled beside them, against quiet. `node bench/settle.ts [--mib 128]`, after a build.
 * Proves nothing about a cold disk: what is read was just written. Appends are paced as a shard paces them, one at a time.
 */
import { createCipheriv } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { systemClock } from "@logbrook/core/Clock"
import { FrameBuilder, ownValueBytesMin } from "@logbrook/core/journal/Frame"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { batchHeaderBytes, buildBatch, count } from "@logbrook/core/RecordBatch"
import { inChildProcess } from "@logbrook/core/settle/childProcess"
import { Settler } from "@logbrook/core/settle/Settler"
import type { Settled } from "@logbrook/core/settle/SettleJob"
import { LogStore } from "@logbrook/core/storage/LogStore"

const { values } = parseArgs({
  options: { mib: { type: "string", default: "128" }, only: { type: "string", default: "sizes,appends" } }
})
const segmentBytes = Number(values.mib) * 1024 * 1024
const payloadBytes = 100
const pacingMs = 5
const rates = { paced: 250, saturated: 4000 }

type Payloads = "json" | "random"

/** Bytes that do not compress, the same ones every time. */
const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2)).update(Buffer.alloc(1 << 24))
const noiseAt = (i: number, length: number): Buffer => {
  const at = (i * 613) % (noise.length - length)
  return noise.subarray(at, at + length)
}

/** A sensor's measurement: names and digits that repeat, values that do not. */
const jsonOf = (i: number): Buffer => {
  const random = noiseAt(i, 8)
  const temperature = (random.readUInt16LE(0) % 4000) / 100
  const humidity = (random.readUInt16LE(2) % 1000) / 10
  const device = random.readUInt16LE(4) % 1000
  return Buffer.from(
    `{"device":"sensor-${device}","ts":${1_800_000_000_000 + i * 7},"temperature":${temperature},"humidity":${humidity}}`
      .padEnd(payloadBytes)
      .slice(0, payloadBytes)
  )
}

const randomOf = (i: number): Buffer => noiseAt(i, payloadBytes)

/** A journal that is written as a shard writes it: the next messages of every partition's share in one commit. */
class Load {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-settle-"))
  readonly journal: LmdbJournal
  readonly logs: LogStore
  readonly #partitions: number
  perCommit: number
  readonly #payload: (i: number) => Buffer
  readonly #offsets: Array<number>
  #nextSeq = 1
  messages = 0

  constructor(partitions: number, perCommit: number, payloads: Payloads) {
    this.#partitions = partitions
    this.perCommit = perCommit
    this.#payload = payloads === "json" ? jsonOf : randomOf
    this.#offsets = Array.from({ length: partitions }, () => 0)
    const options = { directory: this.directory, segmentBytes, segmentRefsMax: 4_000_000 }
    this.journal = LmdbJournal.open(options)
    this.logs = new LogStore(this.journal, 0, 64 * 1024)
  }

  /** One commit; tells how many milliseconds it took to become durable. */
  async append(): Promise<number> {
    const frame = new FrameBuilder(this.#nextSeq, 1, systemClock.nowMs())
    const runs = new Map<number, RecordsBuilder>()
    for (let i = 0; i < this.perCommit; i++, this.messages++) {
      const partition = this.messages % this.#partitions
      let run = runs.get(partition)
      if (run === undefined) runs.set(partition, (run = new RecordsBuilder(1 << 20)))
      run.append(null, this.#payload(this.messages), noHeaders, systemClock.nowMs())
    }
    for (const [partition, { count: records, bytes, firstTimestampMs, maxTimestampMs }] of runs) {
      const baseOffset = this.#offsets[partition]!
      this.#offsets[partition] = baseOffset + records
      const times = { firstTimestampMs, maxTimestampMs }
      const fields = {
        baseOffset,
        partitionLeaderEpoch: 1,
        count: records,
        baseTimestampMs: firstTimestampMs,
        maxTimestampMs
      }
      const isOwnBatch = bytes.length + batchHeaderBytes >= ownValueBytesMin
      const stored = isOwnBatch ? buildBatch(fields, bytes) : Buffer.from(bytes)
      const rest = { bytes: stored, verbatim: false, producer: undefined }
      frame.records({ logId: partition + 1, baseOffset, count: records, ...times, ...rest }, {})
    }
    const { commit, refs } = frame.build()
    this.#nextSeq = commit.nextSeq
    const { promise, resolve } = Promise.withResolvers<void>()
    const startedMs = performance.now()
    this.journal.append(commit, (failure) => {
      if (failure !== undefined) throw new Error(failure.detail)
      resolve()
    })
    await promise
    const tookMs = performance.now() - startedMs
    this.logs.apply(commit, 1, refs)
    return tookMs
  }

  async fillSegment(): Promise<void> {
    const before = this.journal.writtenSegmentSeq
    while (this.journal.writtenSegmentSeq === before) await this.append()
  }

  /** Appends at the rate of one commit every 5 ms until `until` resolves: each one's milliseconds. */
  async paced(until: Promise<unknown>): Promise<Array<number>> {
    const took: Array<number> = []
    const state = { isOver: false }
    void until.then(() => (state.isOver = true))
    while (!state.isOver) {
      const startedMs = performance.now()
      took.push(await this.append())
      const restMs = pacingMs - (performance.now() - startedMs)
      if (restMs > 0) await sleep(restMs)
    }
    return took
  }

  /** One after the other, all of a partition from storage: records per second of CPU, so that other processes do not count. */
  read(partition: number): number {
    const log = this.logs.log(partition + 1)
    let records = 0
    let offset = 0
    const from = process.cpuUsage()
    while (offset < this.#settledTo(partition)) {
      const batches = this.logs.read(log, offset, 1 << 20)
      for (const batch of batches) {
        records += count(batch)
        offset += count(batch)
      }
    }
    const { user, system } = process.cpuUsage(from)
    return (records / (user + system)) * 1e6
  }

  #settledTo(partition: number): number {
    const { index } = this.logs.log(partition + 1)
    const at = index.findSeq(this.journal.writtenSegmentSeq)
    return at === 0 ? 0 : index.at(at - 1).baseOffset + index.at(at - 1).count
  }

  /** Settles one closed segment beside `appends`. */
  async settle(appends: (until: Promise<unknown>) => Promise<Array<number>>) {
    const { promise, resolve } = Promise.withResolvers<{ settled: Settled; durationMs: number }>()
    const settler = new Settler({
      journal: this.journal,
      logs: this.logs,
      clock: systemClock,
      work: inChildProcess,
      onHold: () => undefined,
      onSettled: (_segment, settled, durationMs) => resolve({ settled, durationMs }),
      onFailed: (segment, detail) => console.error(segment, detail)
    })
    settler.start()
    const took = await appends(promise)
    const result = await promise
    await settler.stop()
    return { ...result, took }
  }

  async close(): Promise<void> {
    await this.journal.close()
    fs.rmSync(this.directory, { recursive: true })
  }
}

const sleep = (ms: number): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  setTimeout(resolve, ms)
  return promise
}

const quantile = (values: ReadonlyArray<number>, share: number): string => {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor(share * (sorted.length - 1))] ?? NaN).toFixed(1)
}

const noAppends = (): Promise<Array<number>> => Promise.resolve([])

const measureSize = async (partitions: number, perCommit: number, payloads: Payloads): Promise<void> => {
  const load = new Load(partitions, perCommit, payloads)
  await load.fillSegment()
  const messages = load.messages - perCommit
  const unsettledPerSecond = load.read(0)
  const { settled, durationMs } = await load.settle(noAppends)
  const perMessage = (bytes: number): string => (bytes / messages).toFixed(0)
  for (let i = 0; i < 10; i++) load.read(0)
  const reads = Array.from({ length: 21 }, (_, i) => load.read(i % partitions)).sort((a, b) => a - b)
  console.log(
    `${payloads} ${partitions} partitions, ${perCommit} per commit: ${perMessage(settled.bytesIn)} -> ` +
      `${perMessage(settled.bytesOut)} B a message, ${settled.runs} runs, settled in ${(durationMs / 1000).toFixed(1)} s; ` +
      `read ${(unsettledPerSecond / 1e6).toFixed(1)} -> ${(reads[10]! / 1e6).toFixed(1)} M records per CPU second`
  )
  await load.close()
}

const measureAppends = async (partitions: number): Promise<void> => {
  const load = new Load(partitions, rates.saturated, "json")
  await load.fillSegment()
  load.perCommit = rates.paced
  await load.paced(sleep(2000))
  const quietBefore = await load.paced(sleep(5000))
  const { took, durationMs } = await load.settle((until) => load.paced(until))
  const quietAfter = await load.paced(sleep(5000))
  const quiet = [...quietBefore, ...quietAfter]
  const shown = (values: ReadonlyArray<number>): string =>
    `p50 ${quantile(values, 0.5)} p99 ${quantile(values, 0.99)} max ${quantile(values, 1)} ms of ${values.length}`
  console.log(
    `appends over ${partitions} partitions: quiet ${shown(quiet)}; beside settling (${(durationMs / 1000).toFixed(1)} s) ` +
      `${shown(took)}; p99 ${(Number(quantile(took, 0.99)) / Number(quantile(quiet, 0.99))).toFixed(1)}x`
  )
  await load.close()
}

if (values.only.includes("sizes")) {
  for (const partitions of [16, 1024]) {
    for (const payloads of ["json", "random"] as const) await measureSize(partitions, rates.paced, payloads)
  }
  await measureSize(16, rates.saturated, "json")
}
if (values.only.includes("appends")) for (const partitions of [16, 1024]) await measureAppends(partitions)
