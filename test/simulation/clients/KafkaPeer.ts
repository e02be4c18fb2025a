import { decodeResponseHeader, encodeWholeRequest } from "@logbrook/protocols/kafka/Header"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { FetchSessionHandler, type Told } from "../../../packages/server/test/support/FetchSessionHandler.ts"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import type { AnyApi, RequestInputOf, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { Splitter } from "@logbrook/protocols/kafka/Splitter"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import type { Stamp } from "../Network.ts"
import { eachKeyed } from "../keyedRecords.ts"
import type { KeyedLog } from "../KeyedLog.ts"
import type { ModelLog } from "../Model.ts"
import { idOfRecord } from "../payload.ts"
import type { Random } from "../Random.ts"
import type { ClientLink, World } from "../World.ts"

interface Outstanding {
  readonly correlationId: number
  readonly name: string
  readonly answered: (response: Uint8Array | undefined, stamp: Stamp) => void
}

const responseBytesMax = 64 * 1024 * 1024
const noStamp: Stamp = { durableSeq: 0, writtenMs: 0 }

/** One Kafka client's connection, opened by the first request; whoever is without an answer when it ends gets undefined. */
export class KafkaPeer {
  readonly name: string
  readonly #world: World
  readonly random: Random
  #link: ClientLink | undefined
  #splitter = new Splitter(responseBytesMax)
  #outstanding: Array<Outstanding> = []
  #correlationId = 0
  #connections = 0

  readonly software: string | undefined
  /** Of the fetches that use one. */
  readonly fetchSession = new FetchSessionHandler<string>()
  /** The mishaps there were when it began. */
  sessionMishaps = 0
  /** A session has one fetch under way at a time. */
  fetchesInSession = false

  /** `software`: the name by which it introduces itself on each connection (KIP-511). */
  constructor(world: World, name: string, software?: string) {
    this.name = name
    this.software = software
    this.#world = world
    this.random = world.random(name)
  }

  get isIdle(): boolean {
    return this.#outstanding.length === 0
  }

  #connect(): ClientLink {
    const number = ++this.#connections
    this.#splitter = new Splitter(responseBytesMax)
    return this.#world.connect("kafka", this.name, {
      onBytes: (chunk, stamp) => {
        if (number !== this.#connections) return
        // An answer may end the connection, and others came with it.
        this.#splitter.push(chunk, (response) => {
          if (number === this.#connections) this.#answered(response, stamp)
        })
      },
      onClosed: () => {
        if (number === this.#connections) this.#lost()
      }
    })
  }

  #lost(): void {
    this.#link = undefined
    this.#connections++
    const lost = this.#outstanding
    this.#outstanding = []
    for (const { answered } of lost) answered(undefined, noStamp)
  }

  #answered(response: Uint8Array, stamp: Stamp): void {
    const first = this.#outstanding.shift()
    const correlationId = Buffer.from(response).readInt32BE(0)
    if (first === undefined || first.correlationId !== correlationId) {
      this.#world.violated(`${this.name} gets the answer to ${correlationId} where ${first?.name} was to be answered`)
    }
    first.answered(response, stamp)
  }

  /** Gives the connection up after `timeoutMs` without an answer. */
  request<A extends AnyApi>(
    api: A,
    version: number,
    body: RequestInputOf<A>,
    timeoutMs: number,
    onAnswer: (response: ResponseOf<A> | undefined, stamp: Stamp) => void
  ): void {
    if (this.#link === undefined) {
      this.#link = this.#connect()
      this.#introduce(timeoutMs)
    }
    const link = this.#link
    const correlationId = ++this.#correlationId
    const cancel = this.#world.scheduler.after(timeoutMs * 1000, () => {
      if (link === this.#link) this.close()
    })
    this.#outstanding.push({
      correlationId,
      name: api.name,
      answered: (response, stamp) => {
        cancel()
        if (response === undefined) {
          onAnswer(undefined, stamp)
          return
        }
        const { bodyOffset } = decodeResponseHeader(response, api, version)
        onAnswer(api.decodeResponse(new Uint8Array(response), version, bodyOffset) as ResponseOf<A>, stamp)
      }
    })
    link.write(Buffer.concat(encodeWholeRequest(api, version, { correlationId, clientId: this.name }, body)))
  }

  #introduce(timeoutMs: number): void {
    if (this.software === undefined) return
    const software = { clientSoftwareName: this.software, clientSoftwareVersion: "1" }
    this.request(ApiVersions, 3, software, timeoutMs, (response) => {
      if (response !== undefined && response.errorCode !== 0) this.#world.violated(`${this.name} is told no versions`)
    })
  }

  /** At once; who waits for an answer is told. */
  close(): void {
    this.#link?.reset()
    if (this.#link !== undefined) this.#lost()
  }
}

export interface AskedPartition {
  readonly stream: string
  readonly partition: number
  readonly offset: number
}

export interface FetchedPartition {
  readonly errorCode: number
  readonly asked: AskedPartition
  /** The messages from the asked offset on. */
  readonly ids: ReadonlyArray<string>
  /** Where to go on. */
  readonly nextOffset: number
}

/** How late a fetch may be answered that waits for what has come meanwhile. */
const lateMsMax = 2500
const fetchSlackMs = 15_000
/** The server is told by its disk within 0.4 ms that something is durable. */
const toldMsMax = 1

export interface FetchOptions {
  readonly version: number
  /** How long it may wait at the server. */
  readonly waitMs: number
  readonly bytesMax: number
  /** An incremental fetch session (KIP-227), from v7 on. */
  readonly usesSession: boolean
}

type FetchResponse = ResponseOf<typeof Fetch>
type Answered = FetchResponse["responses"][number]["partitions"][number]

const keyOf = ({ stream, partition }: AskedPartition): string => `${stream}/${partition}`

/** A fetch of a session as it was sent, and what the client knew then. */
interface SentInSession {
  readonly isIncremental: boolean
  readonly sentMs: number
}

/** One long-polled Fetch, its answer held against what is durable. */
export const fetch = (
  world: World,
  peer: KafkaPeer,
  options: FetchOptions,
  asked: ReadonlyArray<AskedPartition>,
  onAnswer: (partitions: ReadonlyArray<FetchedPartition> | undefined) => void
): void => {
  const { version, waitMs, bytesMax } = options
  const { mishaps } = world
  const sentMs = world.scheduler.elapsedMs
  const isFree = options.usesSession && version >= 7 && !peer.fetchesInSession
  const session = isFree ? peer.fetchSession : undefined
  if (session !== undefined) peer.fetchesInSession = true
  const isIncremental = session?.isIncremental === true
  if (session !== undefined && !isIncremental) peer.sessionMishaps = mishaps
  const byKey = new Map(asked.map((own) => [keyOf(own), own]))
  const sent = session?.request(new Map(Array.from(byKey, ([key, { offset }]) => [key, offset])))
  const named = sent === undefined ? asked : sent.asked.map(([key]) => byKey.get(key)!)
  const topicOf = (stream: string) =>
    version >= 13 ? { topicId: world.model.streams.get(stream)?.topicId ?? "" } : { topic: stream }
  const topics = named.map(({ stream, partition, offset }) => ({
    ...topicOf(stream),
    partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: bytesMax }]
  }))
  const forgottenTopicsData = (sent?.forgotten ?? []).map((key) => {
    const at = key.lastIndexOf("/")
    return { ...topicOf(key.slice(0, at)), partitions: [Number(key.slice(at + 1))] }
  })
  const { sessionId = 0, sessionEpoch = -1 } = sent ?? {}
  const inSession = { sessionId, sessionEpoch, topics, forgottenTopicsData }
  const request = { maxWaitMs: waitMs, minBytes: 1, maxBytes: bytesMax, ...inSession }
  peer.request(Fetch, version, request, waitMs + fetchSlackMs, (response, stamp) => {
    if (session !== undefined) peer.fetchesInSession = false
    if (response === undefined) {
      session?.lost()
      return onAnswer(undefined)
    }
    const answers = answersOf(world, asked, response, version)
    if (session !== undefined) checkSession(world, peer, { isIncremental, sentMs }, asked, response, answers)
    if (response.errorCode !== KafkaError.NONE) return onAnswer(undefined)
    const partitions = asked.map((own) => {
      const highWatermark = session?.told.get(keyOf(own))?.highWatermark ?? -1
      return checkPartition(world, peer, own, answers.get(keyOf(own)), highWatermark, stamp)
    })
    // With gaps between them there are records all the same up to the high watermark.
    if (
      partitions.some(({ isBehind }) => isBehind) &&
      partitions.every(({ nextOffset, asked: own }) => nextOffset === own.offset)
    ) {
      world.violated(`${peer.name} is given nothing below the high watermark`)
    }
    // A connection that has broken or stalled proves nothing about wake-ups.
    if (world.network.lifeMsMax === 0 && mishaps === world.mishaps) checkPrompt(world, peer.name, asked, sentMs, stamp)
    return onAnswer(partitions)
  })
}

/** By stream and partition. */
const answersOf = (
  { model }: World,
  asked: ReadonlyArray<AskedPartition>,
  { responses }: FetchResponse,
  version: number
): ReadonlyMap<string, Answered> => {
  const streamOf = new Map(asked.map(({ stream }) => [model.streams.get(stream)?.topicId ?? "", stream]))
  return new Map(
    responses.flatMap(({ topic, topicId, partitions }) => {
      const stream = version >= 13 ? (streamOf.get(topicId) ?? topicId) : topic
      return partitions.map((answer) => [`${stream}/${answer.partitionIndex}`, answer] as const)
    })
  )
}

/** `told`: the high watermark of a session's partition of which nothing is answered. */
const checkPartition = (
  world: World,
  peer: KafkaPeer,
  own: AskedPartition,
  answer: Answered | undefined,
  told: number,
  stamp: Stamp
) => {
  if (answer === undefined) {
    return { errorCode: KafkaError.NONE, asked: own, ids: [], nextOffset: own.offset, isBehind: own.offset < told }
  }
  const { errorCode, highWatermark, records } = answer
  if (errorCode !== KafkaError.NONE) {
    return { errorCode, asked: own, ids: [], nextOffset: own.offset, isBehind: false }
  }
  checkHighWatermark(world, peer.name, own, highWatermark, stamp)
  const bytes = records ?? new Uint8Array(0)
  if (peer.software === undefined) checkPlain(world, peer.name, own, bytes)
  const read = checked(world, peer.name, own, bytes, stamp)
  return { errorCode, asked: own, ...read, isBehind: read.nextOffset < highWatermark }
}

/** A session tells what is news, and nothing else; it ends with the server alone. */
const checkSession = (
  world: World,
  peer: KafkaPeer,
  { isIncremental, sentMs }: SentInSession,
  asked: ReadonlyArray<AskedPartition>,
  { errorCode, sessionId }: FetchResponse,
  answers: ReadonlyMap<string, Answered>
): void => {
  const { name, fetchSession: session } = peer
  const isLost = errorCode === KafkaError.FETCH_SESSION_ID_NOT_FOUND && peer.sessionMishaps !== world.mishaps
  if (errorCode !== KafkaError.NONE && !isLost) world.violated(`${name} is answered ${errorCode} in its session`)
  if (errorCode === KafkaError.NONE && isIncremental) {
    for (const own of asked) checkNews(world, name, own, sentMs, session.told.get(keyOf(own)), answers.get(keyOf(own)))
  }
  try {
    const partitions = Array.from(answers, ([partition, answer]) => ({ ...answer, partition }))
    session.answered({ errorCode, sessionId, partitions })
  } catch (error) {
    world.violated(`${name}: ${(error as Error).message}`)
  }
}

const checkNews = (
  world: World,
  name: string,
  own: AskedPartition,
  sentMs: number,
  told: Told | undefined,
  answer: Answered | undefined
): void => {
  if (answer === undefined) {
    const durableMs = world.model.logOf(own.stream, own.partition)?.durableMs[told?.highWatermark ?? 0]
    if (durableMs === undefined || durableMs + toldMsMax >= sentMs) return
    world.violated(`${name} is not told that ${keyOf(own)} has grown beyond ${told?.highWatermark ?? "nothing"}`)
  }
  const { errorCode, records, divergingEpoch, highWatermark, logStartOffset } = answer
  const isSame = told?.highWatermark === highWatermark && told.logStartOffset === logStartOffset
  if (errorCode === KafkaError.NONE && (records?.length ?? 0) === 0 && divergingEpoch.epoch < 0 && isSame) {
    world.violated(`${name} is told again of ${keyOf(own)}, where nothing has changed`)
  }
}

const checkHighWatermark = (
  world: World,
  name: string,
  { stream, partition }: AskedPartition,
  highWatermark: number,
  { durableSeq }: Stamp
): void => {
  const log = world.model.logOf(stream, partition)
  if (log === undefined || highWatermark <= 0) return
  const seq = log.seqs[highWatermark - 1]
  if (seq !== undefined && seq < durableSeq) return
  world.violated(`${name} is told a high watermark of ${stream}/${partition}:${highWatermark}, which was not durable`)
}

/** Of its own accord the server compresses for nobody who has not said that he reads it. */
const checkPlain = (world: World, name: string, { stream, partition }: AskedPartition, records: Uint8Array): void => {
  RecordBatch.batchesOf(records, (at) => {
    if (RecordBatch.compression(records, at) === "none" || world.model.streams.get(stream)?.filters.length === 0) return
    world.violated(`${name} is given a compressed batch of ${stream}/${partition}`)
  })
}

interface Read {
  readonly ids: ReadonlyArray<string>
  readonly nextOffset: number
}

const checked = (world: World, name: string, asked: AskedPartition, records: Uint8Array, stamp: Stamp): Read => {
  const { stream, partition, offset } = asked
  const log = world.model.logOf(stream, partition)
  if (log === undefined || log.isDeleted) return { ids: [], nextOffset: offset }
  const keyed = world.model.keyed.get(log.id)
  if (keyed !== undefined) return checkedKeyed(world, name, asked, log, keyed, records, stamp)
  const ids = checkedIds(world, name, asked, log, records, stamp)
  return { ids, nextOffset: offset + ids.length }
}

const checkedIds = (
  world: World,
  name: string,
  { stream, partition, offset: from }: AskedPartition,
  log: ModelLog,
  records: Uint8Array,
  { durableSeq }: Stamp
): ReadonlyArray<string> => {
  const ids: Array<string> = []
  let expected = -1
  RecordBatch.batchesOf(records, (at, length) => {
    const batch = records.subarray(at, at + length)
    let offset = RecordBatch.baseOffset(batch)
    if (expected >= 0 ? offset !== expected : offset > from) {
      world.violated(
        `${name} asks ${stream}/${partition} from ${from} and gets a batch from ${offset}, not ${expected}`
      )
    }
    iterate(RecordBatch.recordsOf(batch), RecordBatch.count(batch), (record) => {
      const id = idOfRecord(record)
      const there = log.ids[offset]
      if (id !== there) world.violated(`${name} reads ${id} at ${stream}/${partition}:${offset}, where ${there} is`)
      if ((log.seqs[offset] ?? Infinity) >= durableSeq) {
        world.violated(`${name} reads ${id} at ${stream}/${partition}:${offset} before it was durable`)
      }
      if (offset >= from) ids.push(id!)
      offset++
    })
    expected = offset
  })
  return ids
}

/** Of a log that is compacted: offsets ascend, and what is passed over is gone. */
const checkedKeyed = (
  world: World,
  name: string,
  { stream, partition, offset: from }: AskedPartition,
  log: ModelLog,
  keyed: KeyedLog,
  records: Uint8Array,
  { durableSeq }: Stamp
): Read => {
  const ids: Array<string> = []
  let next = from
  const passTo = (end: number): void => {
    for (; next < end; next++) keyed.passedOver(name, next)
  }
  RecordBatch.batchesOf(records, (at, length) => {
    const batch = records.subarray(at, at + length)
    eachKeyed(batch, (record) => {
      const { offset, id } = record
      keyed.checkRead(name, record)
      if ((log.seqs[offset] ?? Infinity) >= durableSeq) {
        world.violated(`${name} reads ${id} at ${stream}/${partition}:${offset} before it was durable`)
      }
      if (offset < next && (ids.length > 0 || offset >= from)) {
        world.violated(`${name} reads ${stream}/${partition}:${offset} behind ${next - 1}`)
      }
      if (offset < from) return
      passTo(offset)
      ids.push(id!)
      next++
    })
    passTo(RecordBatch.lastOffset(batch) + 1)
  })
  return { ids, nextOffset: next }
}

const checkPrompt = (
  world: World,
  name: string,
  asked: ReadonlyArray<AskedPartition>,
  sentMs: number,
  stamp: Stamp
): void => {
  for (const { stream, partition, offset } of asked) {
    const durableMs = world.model.logOf(stream, partition)?.durableMs[offset]
    if (durableMs === undefined) continue
    const lateMs = stamp.writtenMs - Math.max(durableMs, sentMs)
    if (lateMs > lateMsMax) {
      world.violated(`${name} waits ${Math.round(lateMs)} ms for ${stream}/${partition}:${offset}, which is there`)
    }
  }
}
