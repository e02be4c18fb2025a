/**
 * Writes a journal as a server under load writes it, without its sockets: `node bench/load/fillJournal.ts DIRECTORY EVENTS
 * SEGMENTS`. Four events of five are batches of one record of 100 B over 1,024 partitions, the fifth is an offset commit
 * of one of ten groups. Closed segments are settled. The last line that it prints is a `Filled` as JSON.
 */
import { systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { noHeaders } from "@logbrook/core/Record"
import { inChildProcess } from "@logbrook/core/settle/childProcess"
import { Settler } from "@logbrook/core/settle/Settler"
import type { Ask } from "@logbrook/core/shard/Intake"
import type { Shard } from "@logbrook/core/shard/Shard"
import { definitions } from "@logbrook/server/Broker"
import * as Exit from "effect/Exit"
import { createCipheriv } from "node:crypto"
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises"
import { startedShard } from "../../packages/core/test/support/oneShard.ts"

export interface Filled {
  readonly events: number
  readonly segments: number
  readonly bytes: number
}

const streams = 64
const partitions = 16
const groups = 10
const commitsPerTurn = (streams * partitions) / 4
/** The catalog gives log ids from here on. */
const firstLogId = 2
const recordShare = 0.8
const payloadBytes = 100
/** Bytes that do not compress, the same ones every time; every payload is half of them, half of one letter. */
const noise = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16, 2)).update(Buffer.alloc(1 << 24))

const payloadAt = (index: number): Buffer => {
  const payload = Buffer.alloc(payloadBytes, "x")
  const at = (index * 613) % (noise.length - payloadBytes)
  noise.copy(payload, 0, at, at + payloadBytes / 2)
  return payload
}

const failed = (what: string, detail: unknown): never => {
  console.error(what, detail)
  process.exit(1)
}

/** As the server does it, but without rests: nobody else wants the core. */
const settleClosed = (journal: LmdbJournal, shard: Shard): Settler => {
  const settler = new Settler({
    journal,
    logs: shard.logs,
    clock: systemClock,
    work: (job) => {
      const work = inChildProcess(job)
      work.hurry(true)
      return { ...work, hurry: () => undefined }
    },
    onHold: (isHeld) => shard.hold(isHeld),
    onSettled: () => undefined,
    onFailed: failed
  })
  settler.start()
  return settler
}

const topicIdOf = (stream: number): string => Buffer.alloc(16, stream + 1).toString("base64url")

const createStreams = (shard: Shard): void => {
  for (let stream = 0; stream < streams; stream++) {
    const what = {
      name: `stream-${stream}`,
      topicId: topicIdOf(stream),
      filters: [],
      key: "topic",
      config: [],
      partitions
    }
    const command = { _tag: "CreateStream", ...what, validateOnly: false }
    const reply: Ask["reply"] = (exit) => void (Exit.isFailure(exit) && failed("no stream", exit.cause))
    shard.offer({ to: "catalog/0", command, cause: { origin: "bench" }, reply })
  }
}

/** One turn's worth of commands, each of which becomes one event. */
const giveTurn = (shard: Shard, turn: number): void => {
  for (let log = 0; log < streams * partitions; log++) {
    const batch = shard.partitionBatch(firstLogId + log, "bench")
    const before = batch.records.byteLength
    batch.records.append(null, payloadAt(turn * streams * partitions + log), noHeaders, systemClock.nowMs())
    shard.recordsAdded(batch.records.byteLength - before)
  }
  const member = { generation: -1, memberId: "", groupInstanceId: null }
  for (let commit = 0; commit < commitsPerTurn; commit++) {
    const stream = commit % streams
    const place = { topicId: topicIdOf(stream), partition: turn % partitions, stream: `stream-${stream}` }
    const offsets = [{ ...place, offset: turn, leaderEpoch: -1, metadata: "" }]
    const command = { _tag: "CommitOffsets", ...member, offsets }
    shard.offer({ to: `group/group-${commit % groups}`, command, cause: { origin: "bench" } })
  }
}

const fill = async (directory: string, events: number, segments: number): Promise<Filled> => {
  const segmentRefsMax = segments === 1 ? Infinity : Math.ceil((events * recordShare) / segments)
  const journal = LmdbJournal.open({ directory, segmentBytes: defaultLimits.segmentBytesMax, segmentRefsMax })
  const shard = startedShard({ journal, definitions: definitions(defaultLimits), onTrouble: failed })
  const settler = settleClosed(journal, shard)
  createStreams(shard)
  // Runs that wait for the same turn would become one event: the next ones are given when those before are taken.
  for (let turn = 0; shard.nextSeq <= events; turn++) {
    while (shard.waiting > 0) await nextTurn()
    giveTurn(shard, turn)
  }
  while (shard.waiting > 0 || settler.unsettled > 0) await sleep(10)
  await settler.stop()
  await shard.drained()
  shard.stop()
  const filled = { events: journal.nextSeq - 1, segments: journal.segments().length }
  await journal.close()
  const bytes = readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0)
  return { ...filled, bytes }
}

const [directory = "", events, segments] = process.argv.slice(2)
console.log(JSON.stringify(await fill(directory, Number(events), Number(segments))))
