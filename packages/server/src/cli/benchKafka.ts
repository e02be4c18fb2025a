import * as Effect from "effect/Effect"
import { compress, type Codec } from "@logbrook/core/Compression"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { attempt } from "./attempt.ts"
import { boundedOption, Clock, loadOf, report, type Load, type Measured } from "./bench.ts"
import { CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"
import type { Listener } from "./clients/connecting.ts"
import { KafkaClient, nameOf, noAnswer } from "./clients/KafkaClient.ts"
import { kafkaError } from "./clients/kafkaErrors.ts"
import { PartitionReader } from "./clients/PartitionReader.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { Histogram } from "./Histogram.ts"
import { bytesText, counted, note, type Io } from "./Io.ts"
import { choiceOption, listenerOf, timeoutOf } from "./optionValues.ts"
import { codecs, produceVersion } from "./produce.ts"

const clientsMax = 1_000
const batchMax = 100_000
/** So long a consumer may get nothing behind the last record before the rest counts as lost. */
const lateMs = 5_000
/** With its header Kafka's own bound of a batch. */
const batchBytesMax = 1_000_000

interface Plan extends Load {
  readonly listener: Listener
  readonly timeoutMs: number
  readonly stream: string
  readonly producers: number
  readonly consumers: number
  readonly batch: number
  readonly codec: Codec | "none"
  readonly note: (text: string) => void
}

const planOf = (args: Arguments, io: Io): Effect.Effect<Plan, CliError> =>
  Effect.gen(function* () {
    const load = yield* loadOf(args)
    const batch = yield* boundedOption(args, "batch", 100, batchMax)
    if (batch * load.sizeBytes > batchBytesMax) {
      const text = `--batch ${batch} of --size ${load.sizeBytes} is more than a batch holds: ${batchBytesMax} bytes`
      return yield* Effect.fail(usageError(text))
    }
    return {
      ...load,
      batch,
      stream: args.positionals[0]!,
      listener: yield* listenerOf(args, io, "kafka"),
      timeoutMs: yield* timeoutOf(args),
      producers: yield* boundedOption(args, "producers", 4, clientsMax),
      consumers: yield* boundedOption(args, "consumers", 0, clientsMax, 0),
      codec: yield* choiceOption(args, "compression", codecs, "none"),
      note: (text) => note(io, text)
    }
  })

const batchOf = ({ sizeBytes, codec }: Plan, records: number): Uint8Array => {
  const builder = new RecordsBuilder(2 * batchBytesMax)
  const nowMs = Date.now()
  for (let i = 0; i < records; i++) builder.append(null, Buffer.alloc(sizeBytes, 0x61 + (i % 26)), noHeaders, nowMs)
  const fields = { baseOffset: 0, partitionLeaderEpoch: -1, codec, count: records }
  const packed = codec === "none" ? builder.bytes : compress(codec, builder.bytes)
  return buildBatch({ ...fields, baseTimestampMs: nowMs, maxTimestampMs: builder.maxTimestampMs }, packed)
}

/** All clients count together. */
export class Counts {
  begun = 0
  produced = 0
  consumed = 0
  isProducing = true
  readonly producing = new Histogram()
}

/** A connection with one request under way, to one partition after the other, as a producer with acks=all waits. */
const produceFrom = async (
  client: KafkaClient,
  index: number,
  partitions: number,
  plan: Plan,
  clock: Clock,
  counts: Counts
) => {
  const { stream: topic, timeoutMs, batch, countMax } = plan
  const whole = batchOf(plan, batch)
  for (let at = index; !clock.isOver && counts.begun < countMax; at++) {
    const records = Math.min(batch, countMax - counts.begun)
    counts.begun += records
    const place = { topic, partition: at % partitions }
    const partitionData = [{ index: place.partition, records: records === batch ? whole : batchOf(plan, records) }]
    const beganMs = performance.now()
    const leader = await client.leaderOf(place)
    const topicData = [{ name: topic, partitionData }]
    const { responses } = await leader.request(Produce, produceVersion, { acks: -1, timeoutMs, topicData })
    const answer = responses[0]?.partitionResponses[0]
    if (answer === undefined) throw noAnswer(nameOf(place))
    if (answer.errorCode !== KafkaError.NONE) throw kafkaError(nameOf(place), answer.errorCode, answer.errorMessage)
    counts.producing.add(performance.now() - beganMs)
    counts.produced += records
  }
}

/** Reads all partitions from where they end now, until it has what was produced, or nothing comes any more. */
export const consumeFrom = async (reader: Pick<PartitionReader, "next">, counts: Counts): Promise<void> => {
  let consumed = 0
  let quietSinceMs = performance.now()
  while (counts.isProducing || consumed < counts.produced) {
    const fetched = await reader.next()
    const hasNews = (fetched ?? []).some(({ records }) => records.length > 0)
    if (hasNews || counts.isProducing) quietSinceMs = performance.now()
    else if (performance.now() - quietSinceMs > lateMs) break
    for (const { records, taken } of fetched ?? []) {
      taken(records.length)
      consumed += records.length
      counts.consumed += records.length
    }
  }
}

interface Ran {
  readonly measured: ReadonlyArray<Measured>
  readonly lost: number
  readonly cpuShare: number
  readonly exitCode: ExitCode
}

const runLoad = async (plan: Plan): Promise<Ran> => {
  const { listener, timeoutMs, stream, producers, consumers, sizeBytes } = plan
  const counts = new Counts()
  const clients: Array<KafkaClient> = []
  const connect = async (): Promise<KafkaClient> => {
    const client = await KafkaClient.connect(listener, timeoutMs)
    clients.push(client)
    return client
  }
  try {
    const reading = { from: "latest", until: undefined, note: plan.note } as const
    const readers: Array<PartitionReader> = []
    for (let i = 0; i < consumers; i++) {
      const reader = new PartitionReader(await connect(), reading)
      await reader.begin([stream], undefined)
      readers.push(reader)
    }
    const writers: Array<KafkaClient> = []
    for (let i = 0; i < producers; i++) writers.push(await connect())
    const [partitions] = await Promise.all(writers.map((writer) => writer.partitionsOf(stream)))
    const clock = new Clock(plan.durationMs)
    const consuming = Promise.all(readers.map((reader) => consumeFrom(reader, counts)))
    const producing = Promise.all(writers.map((writer, i) => produceFrom(writer, i, partitions!, plan, clock, counts)))
    // A failure of one side ends both; the other one may still fail when the connections close.
    for (const side of [producing, consuming]) side.catch(() => undefined)
    await Promise.race([producing, consuming.then(() => producing)])
    const producedS = clock.elapsedMs / 1000
    counts.isProducing = false
    await consuming
    const { produced, consumed, producing: latency } = counts
    const written = { name: "produced", count: produced, bytes: produced * sizeBytes, seconds: producedS, latency }
    const read = { name: "consumed", count: consumed, bytes: consumed * sizeBytes, latency: undefined }
    return {
      measured: [written, ...(consumers > 0 ? [{ ...read, seconds: clock.elapsedMs / 1000 }] : [])],
      lost: produced * consumers - consumed,
      cpuShare: clock.cpuShare,
      exitCode: clock.end()
    }
  } finally {
    counts.isProducing = false
    for (const client of clients) client.close()
  }
}

/** Writes batches as fast as they are acknowledged, and says how fast that was. */
export const benchKafka: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = yield* planOf(args, io)
    const { measured, lost, cpuShare, exitCode } = yield* attempt(() => runLoad(plan))
    const { producers, consumers, batch, sizeBytes, codec } = plan
    const load =
      `${counted(producers, "producer")}, each with one request of ${counted(batch, "record")} of ${bytesText(sizeBytes)} ` +
      `under way, compression ${codec}; ${counted(consumers, "consumer")}`
    report(args, io, load, measured, cpuShare)
    if (lost <= 0) return exitCode
    const text = `${counted(lost, "record")} did not come to a consumer`
    return yield* Effect.fail(new CliError(exitCodes.failure, "E_LOST", text))
  })
