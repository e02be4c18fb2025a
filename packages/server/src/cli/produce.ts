import * as Effect from "effect/Effect"
import { compress, type Codec } from "@logbrook/core/Compression"
import { partitionOf } from "@logbrook/core/Murmur2"
import { noHeaders, RecordsBuilder, type RecordHeader } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { plainText } from "../plainText.ts"
import { attempt } from "./attempt.ts"
import { CliError, exitCodes, usageError, withCount } from "./CliError.ts"
import type { Listener } from "./clients/connecting.ts"
import { KafkaClient, nameOf, noAnswer } from "./clients/KafkaClient.ts"
import { kafkaError } from "./clients/kafkaErrors.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { messagesOf } from "./input.ts"
import { bytesText, counted, type Io, outJson } from "./Io.ts"
import { choiceOption, listenerOf, numberOption, pairsOption, timeoutOf } from "./optionValues.ts"
import { InputError, parseRecord, type GivenRecord } from "./recordInput.ts"

export const produceVersion = 9
/** A batch's records before they are compressed: Kafka's own bound of a batch, less its header. */
const batchBytesMax = 1_000_000
export const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const

interface Plan {
  readonly listener: Listener
  readonly timeoutMs: number
  readonly stream: string
  readonly codec: Codec | "none"
  /** Undefined: stdin has the records. */
  readonly value: Buffer | undefined
  readonly isWhole: boolean
  readonly toRecord: (line: Buffer) => GivenRecord
}

/** How a line becomes a record. */
const readerOf = (args: Arguments): Effect.Effect<Plan["toRecord"], CliError> =>
  Effect.gen(function* () {
    const input = yield* choiceOption(args, "input", ["text", "json"], "text")
    const [key, separator] = [args.text("key"), args.text("key-separator")]
    if (key !== undefined && separator !== undefined) {
      return yield* Effect.fail(usageError("--key and --key-separator exclude each other"))
    }
    if (separator === "") return yield* Effect.fail(usageError("--key-separator takes some text, such as ':'"))
    const partition = yield* numberOption(args, "partition", 0, -1)
    const headers = (yield* pairsOption(args, "header")).map(([name, value]): RecordHeader => [
      Buffer.from(name),
      Buffer.from(value)
    ])
    const isTombstone = args.flag("tombstone")
    const rest = {
      key: key === undefined ? null : Buffer.from(key),
      partition: partition < 0 ? undefined : partition,
      timestampMs: undefined,
      headers
    }
    const toRecord: Plan["toRecord"] = (line) => {
      if (input === "json") return parseRecord(line, rest)
      if (separator === undefined) return { ...rest, value: isTombstone ? null : line }
      const at = line.indexOf(separator)
      if (at < 0) throw new InputError(`there is no "${separator}" in "${line.subarray(0, 40).toString("utf8")}"`)
      return { ...rest, key: line.subarray(0, at), value: line.subarray(at + Buffer.byteLength(separator)) }
    }
    return toRecord
  })

const planOf = (args: Arguments, io: Io): Effect.Effect<Plan, CliError> =>
  Effect.gen(function* () {
    const [stream, text] = args.positionals as [string, string | undefined]
    const isTombstone = args.flag("tombstone")
    if (isTombstone && (text !== undefined || args.text("key") === undefined)) {
      return yield* Effect.fail(usageError("--tombstone is a record of a --key without VALUE"))
    }
    const isWhole = args.flag("whole")
    if (text !== undefined && isWhole) return yield* Effect.fail(usageError("--whole reads the record from stdin"))
    return {
      listener: yield* listenerOf(args, io, "kafka"),
      timeoutMs: yield* timeoutOf(args),
      stream,
      codec: yield* choiceOption(args, "compression", codecs, "none"),
      value: isTombstone ? Buffer.alloc(0) : text === undefined ? undefined : Buffer.from(text),
      isWhole,
      toRecord: yield* readerOf(args)
    }
  })

/** The records that a partition has taken. */
interface Taken {
  readonly partition: number
  records: number
  firstOffset: number
  lastOffset: number
}

/** Gathers records by partition, and sends them. */
class Producer {
  readonly #client: KafkaClient
  readonly #plan: Plan
  readonly #partitions: number
  readonly #builders = new Map<number, RecordsBuilder>()
  /** Records without a key go to one partition after the other, a request each. */
  #next = Math.floor(Math.random() * 0x7fff_ffff)
  readonly taken = new Map<number, Taken>()
  bytes = 0

  constructor(client: KafkaClient, plan: Plan, partitions: number) {
    this.#client = client
    this.#plan = plan
    this.#partitions = partitions
  }

  get records(): number {
    return [...this.taken.values()].reduce((sum, { records }) => sum + records, 0)
  }

  async add(record: GivenRecord): Promise<void> {
    const partition = this.#partitionOf(record)
    const builder = this.#builders.get(partition) ?? new RecordsBuilder(batchBytesMax)
    this.#builders.set(partition, builder)
    if (this.#append(builder, record)) return
    await this.send()
    if (this.#append(builder, record)) return
    const text = `a record takes more than ${bytesText(batchBytesMax)}, which no batch may`
    throw new CliError(exitCodes.usage, "E_TOO_LARGE", text)
  }

  /** Sends what was added, and waits until the server has it on disk. */
  async send(): Promise<void> {
    const full = [...this.#builders].filter(([, { count }]) => count > 0)
    // Each is waited for: what arrived is told, also beside a failure.
    const sent = await Promise.allSettled(full.map(([partition, builder]) => this.#sendBatch(partition, builder)))
    this.#next++
    for (const each of sent) if (each.status === "rejected") throw each.reason
  }

  #append(builder: RecordsBuilder, { key, value, headers, timestampMs }: GivenRecord): boolean {
    return builder.append(key, value, noHeaders, timestampMs ?? Date.now(), headers)
  }

  #partitionOf({ partition, key }: GivenRecord): number {
    if (partition === undefined) {
      return key === null ? this.#next % this.#partitions : partitionOf(key, this.#partitions)
    }
    if (partition < this.#partitions) return partition
    const { stream } = this.#plan
    throw kafkaError(`${stream} has partitions 0 to ${this.#partitions - 1}`, KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
  }

  async #sendBatch(partition: number, builder: RecordsBuilder): Promise<void> {
    const { stream: topic, codec, timeoutMs } = this.#plan
    const { count, firstTimestampMs: baseTimestampMs, maxTimestampMs, bytes } = builder
    const packed = codec === "none" ? bytes : compress(codec, bytes)
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, codec, count, baseTimestampMs, maxTimestampMs }
    const records = buildBatch(fields, packed)
    builder.reset()
    const leader = await this.#client.leaderOf({ topic, partition })
    const partitionData = [{ index: partition, records }]
    const request = { acks: -1, timeoutMs, topicData: [{ name: topic, partitionData }] }
    const { responses } = await leader.request(Produce, produceVersion, request)
    const answer = responses[0]?.partitionResponses[0]
    if (answer === undefined) throw noAnswer(nameOf({ topic, partition }))
    const { errorCode, errorMessage, baseOffset } = answer
    if (errorCode !== KafkaError.NONE) throw refusal(nameOf({ topic, partition }), errorCode, errorMessage)
    this.bytes += records.length
    const lastOffset = baseOffset + count - 1
    const taken = this.taken.get(partition)
    if (taken === undefined)
      this.taken.set(partition, { partition, records: count, firstOffset: baseOffset, lastOffset })
    else Object.assign(taken, { records: taken.records + count, lastOffset })
  }
}

const refusal = (what: string, code: number, message: string | null): CliError => {
  const isDenied = code === KafkaError.TOPIC_AUTHORIZATION_FAILED
  const hint = isDenied ? "a bound stream is written by MQTT: logbrook publish TOPIC" : undefined
  return kafkaError(what, code, message, hint)
}

const produceAll = async (plan: Plan, io: Io): Promise<Producer> => {
  const client = await KafkaClient.connect(plan.listener, plan.timeoutMs)
  let producer: Producer | undefined
  try {
    producer = new Producer(client, plan, await client.partitionsOf(plan.stream))
    const given = plan.value === undefined ? messagesOf(io, plan.isWhole, client.ended) : [[plan.value]]
    for await (const lines of given) {
      for (const line of lines) await producer.add(plan.toRecord(line))
      await producer.send()
    }
    return producer
  } catch (error) {
    const records = producer?.records ?? 0
    if (error instanceof InputError)
      throw withCount(usageError(error.message, "logbrook produce --help"), records, "record")
    throw withCount(error, records, "record")
  } finally {
    client.close()
  }
}

const takenText = (stream: string, { partition, records, firstOffset, lastOffset }: Taken): string => {
  const offsets = firstOffset === lastOffset ? `offset ${firstOffset}` : `offsets ${firstOffset} to ${lastOffset}`
  return `${nameOf({ topic: stream, partition })}: ${counted(records, "record")}, ${offsets}`
}

/** Writes records to a free stream, or to a topic of any Kafka server. */
export const produce: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = yield* planOf(args, io)
    const { taken, records, bytes } = yield* attempt(() => produceAll(plan, io))
    const partitions = [...taken.values()].toSorted((a, b) => a.partition - b.partition)
    if (args.flag("json")) outJson(io, { stream: plan.stream, records, bytes, partitions })
    else for (const each of partitions) io.out(plainText(takenText(plan.stream, each)))
    return exitCodes.ok
  })
