/**
 * How long a server needs after a kill until it is ready, with `--events N` (1,000,000) in its journal: four fifths are
 * batches of one record over 256 partitions, one fifth offset commits of ten groups. Exits with 1 if
 * the median of five is above the limit.
 */
import { parseArgs } from "node:util"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { ServerProcess } from "../support/server.ts"
import { KafkaPipe } from "./KafkaPipe.ts"

const limitMs = 1000
const restarts = 5
const streams = 16
const partitions = 16
const groups = 10
/** Each waits for the commit of the journal; together they fill it. */
const commitConnections = 64
const produceVersion = 9
const commitVersion = 8

const streamName = (n: number): string => `stream-${n}`

const batchAt = (nowMs: number): Uint8Array => {
  const records = new RecordsBuilder(1024)
  records.append(Buffer.from("a key"), Buffer.alloc(100, "v"), noHeaders, nowMs)
  const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, baseTimestampMs: nowMs, maxTimestampMs: nowMs }
  return buildBatch(fields, records.bytes)
}

const produce = async (port: number, batches: number): Promise<void> => {
  const pipe = await KafkaPipe.connect(port)
  const perRequest = streams * partitions
  for (let sent = 0; sent < batches; sent += perRequest) {
    const records = batchAt(Date.now())
    const partitionData = Array.from({ length: partitions }, (_, index) => ({ index, records }))
    const topicData = Array.from({ length: streams }, (_, n) => ({ name: streamName(n), partitionData }))
    await pipe.send(Produce, produceVersion, { acks: -1, timeoutMs: 10_000, topicData }, ({ responses }) => {
      for (const { partitionResponses } of responses) {
        for (const { errorCode } of partitionResponses)
          if (errorCode !== 0) throw new Error(`Produce: error ${errorCode}`)
      }
    })
  }
  await pipe.end()
}

const commit = async (port: number, commits: number): Promise<void> => {
  const pipe = await KafkaPipe.connect(port)
  for (let n = 0; n < commits; n++) {
    const offset = { partitionIndex: n % partitions, committedOffset: n, committedMetadata: null }
    const request = {
      groupId: `group-${n % groups}`,
      topics: [{ name: streamName(n % streams), partitions: [offset] }]
    }
    await pipe.send(OffsetCommit, commitVersion, request, ({ topics }) => {
      const { errorCode } = topics[0]!.partitions[0]!
      if (errorCode !== 0) throw new Error(`OffsetCommit: error ${errorCode}`)
    })
  }
  await pipe.end()
}

const { values } = parseArgs({ options: { events: { type: "string" } } })
const events = Number(values.events ?? 1_000_000)
const server = await ServerProcess.start()
const readyMs: Array<number> = []
try {
  for (let n = 0; n < streams; n++) await server.createStream(streamName(n), { partitions })
  const startedMs = performance.now()
  await produce(server.ports.kafka, events * 0.8)
  const commits = Math.ceil((events * 0.2) / commitConnections)
  await Promise.all(Array.from({ length: commitConnections }, () => commit(server.ports.kafka, commits)))
  const builtMs = performance.now() - startedMs
  const { journal } = await server.get<{ journal: { nextSeq: number; segments: number; bytes: number } }>("/cluster")
  const size = `${journal.nextSeq - 1} events, ${(journal.bytes / 1e6).toFixed(0)} MB in ${journal.segments} segments`
  console.log(`${size}, written in ${(builtMs / 1000).toFixed(1)} s`)
  if (journal.nextSeq <= events) throw new Error("there are fewer events than asked for")
  for (let n = 0; n < restarts; n++) {
    await server.kill()
    readyMs.push(await server.start())
  }
} catch (error) {
  console.log(server.logTail())
  throw error
} finally {
  await server.dispose()
}
const medianMs = readyMs.toSorted((a, b) => a - b)[Math.floor(restarts / 2)]!
const each = readyMs.map((ms) => ms.toFixed(0)).join(", ")
console.log(`ready after a kill in ${medianMs.toFixed(0)} ms (median of ${each}); at most ${limitMs} allowed`)
process.exit(medianMs <= limitMs ? 0 : 1)
