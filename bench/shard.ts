/**
 * CPU per message of a shard, in interleaved slices, over a journal that keeps nothing and says at once that it does: under its
 * supervised fiber beside the same shard drained by plain callbacks, and beside callbacks that do the same encoding and
 * the same appends but bound, supervise, and order nothing. Proves nothing about disks or sockets.
 */
import { pack } from "@logbrook/core/actor/pack"
import { systemClock } from "@logbrook/core/Clock"
import { FrameBuilder } from "@logbrook/core/journal/Frame"
import type { Commit, Journal } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { batchHeaderBytes, buildBatch } from "@logbrook/core/RecordBatch"
import type { PartitionBatch } from "@logbrook/core/shard/Intake"
import { supervise } from "@logbrook/core/shard/supervise"
import type { Shard } from "@logbrook/core/shard/Shard"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { LogStore } from "@logbrook/core/storage/LogStore"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { oneShard } from "../packages/core/test/support/oneShard.ts"
import { counter, makeCounter, ToyPartition } from "../packages/core/test/support/toys.ts"

const rounds = 7
const sliceMs = 500
const key = Buffer.from("meter-00001234")
const value = Buffer.alloc(100, 120)
const ownValueBytes = 4096

/** Takes every commit, keeps none, and has it durable behind the call. */
class Sink extends MemoryJournal {
  override append(_commit: Commit, done: (failure: undefined) => void): void {
    queueMicrotask(() => done(undefined))
  }
}

const limits = { ...defaultLimits, commitPacingMs: 0, tailBytesMax: 1_000_000 }
const nextTurn = (): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  setImmediate(resolve)
  return promise
}

/** One turn's work; the messages whose callers were told are counted in `told`. */
interface Contender {
  readonly turn: () => void
  readonly told: () => number
}

/** Who drains a shard: the fiber that restarts it after a fault, as in the server, or nobody but the event loop. */
type Drive = "fiber" | "callbacks"

const onFault = (fault: unknown): void => console.error(fault)

const makeShard = (journal: Journal, drive: Drive): Shard => {
  const definitions = [ShardActor, makeCounter(), ToyPartition]
  const shard = oneShard({ journal, limits, definitions, onTrouble: console.error })
  shard.recover()
  if (drive === "callbacks") shard.start(onFault)
  else Effect.runFork(Effect.scoped(Effect.flatMap(supervise(shard, systemClock, onFault), Fiber.join)))
  return shard
}

const shardPublishing = (messages: number, partitions: number, drive: Drive = "fiber"): Contender => {
  const shard = makeShard(new Sink(systemClock), drive)
  let told = 0
  const receiver = {
    acked: (_token: number, batch: PartitionBatch | undefined) => void (told += batch!.refusal === undefined ? 1 : 0)
  }
  return {
    told: () => told,
    turn: () => {
      const nowMs = systemClock.nowMs()
      for (let i = 0; i < messages; i++) {
        const batch = shard.partitionBatch(1 + (i % partitions), "bench")
        const before = batch.records.byteLength
        batch.records.append(key, value, noHeaders, nowMs)
        shard.recordsAdded(batch.records.byteLength - before)
        shard.ack(receiver, i, batch, batch.records.count - 1)
      }
    }
  }
}

const plainPublishing = (messages: number, partitions: number): Contender => {
  const journal = new Sink(systemClock)
  const logs = new LogStore(journal, limits.tailBytesMax, limits.synthesisedBatchBytesMax)
  const nextOffsets = new Map<number, number>()
  const builders = new Map<number, RecordsBuilder>()
  const waiting: Array<() => void> = []
  let nextSeq = 1
  let told = 0
  const commit = (): void => {
    const frame = new FrameBuilder(nextSeq, 1, systemClock.nowMs())
    for (const [logId, { bytes: records, count, firstTimestampMs, maxTimestampMs }] of builders) {
      const baseOffset = nextOffsets.get(logId) ?? 0
      nextOffsets.set(logId, baseOffset + count)
      const fields = { baseOffset, partitionLeaderEpoch: 1, count, baseTimestampMs: firstTimestampMs, maxTimestampMs }
      const bytes = records.length + batchHeaderBytes < ownValueBytes ? records : buildBatch(fields, records)
      frame.records(
        { logId, baseOffset, count, firstTimestampMs, maxTimestampMs, bytes, verbatim: false, producer: undefined },
        { origin: "bench" }
      )
    }
    for (const builder of builders.values()) builder.reset()
    const { commit, refs } = frame.build()
    nextSeq = commit.nextSeq
    const replies = waiting.splice(0)
    journal.append(commit, () => {
      logs.apply(commit, 1, refs)
      for (const reply of replies) reply()
    })
  }
  return {
    told: () => told,
    turn: () => {
      const nowMs = systemClock.nowMs()
      for (let i = 0; i < messages; i++) {
        const logId = 1 + (i % partitions)
        let builder = builders.get(logId)
        if (builder === undefined) builders.set(logId, (builder = new RecordsBuilder(2_000_000)))
        builder.append(key, value, noHeaders, nowMs)
        waiting.push(() => told++)
      }
      setImmediate(commit)
    }
  }
}

const shardAsking = (messages: number, actors: number, drive: Drive = "fiber"): Contender => {
  const shard = makeShard(new Sink(systemClock), drive)
  const ids = Array.from({ length: actors }, (_, i) => counter(i))
  let told = 0
  const reply = (): void => void told++
  return {
    told: () => told,
    turn: () => {
      for (let i = 0; i < messages; i++) {
        shard.offer({ to: ids[i % actors]!, command: { _tag: "Add", n: 1 }, cause: { origin: "bench" }, reply })
      }
    }
  }
}

const plainAsking = (messages: number, actors: number): Contender => {
  const journal = new Sink(systemClock)
  const { decide, evolve, initial, version } = makeCounter()
  const ids = Array.from({ length: actors }, (_, i): string => counter(i))
  const states = new Map(ids.map((id) => [id, initial(id)]))
  let told = 0
  let nextSeq = 1
  let inbox: Array<{ readonly to: string; readonly reply: () => void }> = []
  const reply = (): void => void told++
  const commit = (): void => {
    const nowMs = systemClock.nowMs()
    const frame = new FrameBuilder(nextSeq, 1, nowMs)
    const batch = inbox
    inbox = []
    for (const { to } of batch) {
      const { events } = decide(states.get(to)!, { _tag: "Add", n: 1 }, nowMs)
      for (const event of events) {
        states.set(to, evolve(states.get(to)!, event))
        frame.event(to, version, pack(event), { origin: "bench" })
      }
    }
    const { commit } = frame.build()
    nextSeq = commit.nextSeq
    journal.append(commit, () => {
      for (const asked of batch) asked.reply()
    })
  }
  return {
    told: () => told,
    turn: () => {
      for (let i = 0; i < messages; i++) inbox.push({ to: ids[i % actors]!, reply })
      setImmediate(commit)
    }
  }
}

/** Microseconds of CPU per message that was told. */
const slice = async ({ turn, told }: Contender): Promise<number> => {
  const before = told()
  const cpu = process.cpuUsage()
  const endMs = performance.now() + sliceMs
  while (performance.now() < endMs) {
    turn()
    await nextTurn()
    await nextTurn()
  }
  const { user, system } = process.cpuUsage(cpu)
  return (user + system) / (told() - before)
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const compare = async (name: string, ofShard: Contender, other: Contender): Promise<string> => {
  await slice(ofShard)
  await slice(other)
  const ratios: Array<number> = []
  const costs: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const [own, plain] = [await slice(ofShard), await slice(other)]
    ratios.push(own / plain)
    costs.push(own)
  }
  const range = `${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)}`
  return `${name}: ${median(costs).toFixed(2)} µs, ${median(ratios).toFixed(2)} (${range})`
}

const publish = { shard: shardPublishing, plain: plainPublishing }
const ask = { shard: shardAsking, plain: plainAsking }
const loads = [
  { name: "publish, 256 a turn, 16 partitions", ...publish, messages: 256, actors: 16 },
  { name: "publish, 256 a turn, 256 partitions", ...publish, messages: 256, actors: 256 },
  { name: "publish, 4 a turn, 4 partitions", ...publish, messages: 4, actors: 4 },
  { name: "publish, 1 a turn", ...publish, messages: 1, actors: 1 },
  { name: "ask, 256 a turn, 64 actors", ...ask, messages: 256, actors: 64 },
  { name: "ask, 1 a turn", ...ask, messages: 1, actors: 1 }
]

console.log("CPU per message, and its ratio to that of the same shard without a fiber")
for (const { name, shard, messages, actors } of loads) {
  console.log(await compare(name, shard(messages, actors, "fiber"), shard(messages, actors, "callbacks")))
}
console.log("... to that of callbacks that do no more than encode and append")
for (const { name, shard, plain, messages, actors } of loads) {
  console.log(await compare(name, shard(messages, actors), plain(messages, actors)))
}
process.exit(0)
