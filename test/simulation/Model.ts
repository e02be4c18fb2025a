import { crc32c } from "@node-rs/crc32"
import { isDeepStrictEqual } from "node:util"
import type { CatalogEvent, SavedStream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { PublicationsRefused } from "@logbrook/actors/client/Client"
import type { SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import type { StreamShareEvent } from "@logbrook/actors/streamShare/StreamShareProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import { kindOf, nameOf, type ActorId, type AnyDefinition } from "@logbrook/core/actor/Definition"
import { logIdOf, partitionId, recordsAppended, type LogEvent } from "@logbrook/core/actor/LogEvents"
import { unpack } from "@logbrook/core/actor/pack"
import { hashOfState, packState, stateVersionOf } from "@logbrook/core/actor/savedState"
import type { BatchRef } from "@logbrook/core/journal/batchRef"
import { readFrame, readFrameHead, type FrameHead, type FrameVisitor } from "@logbrook/core/journal/Frame"
import type { Commit, Seq } from "@logbrook/core/journal/Journal"
import { iterate } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { GroupModel } from "./GroupModel.ts"
import { RefusalTimes } from "./RefusalTimes.ts"
import { SessionTimes } from "./SessionTimes.ts"
import { SharedQueues } from "./SharedQueues.ts"
import { StreamShareWatch } from "./StreamShareWatch.ts"
import { effectiveConfig } from "@logbrook/actors/catalog/StreamConfig"
import { eachKeyed, eachKeyedOfRun } from "./keyedRecords.ts"
import { KeyedLog } from "./KeyedLog.ts"
import type { OffsetExpiry } from "./offsetExpiry.ts"
import { TransactionLog } from "./TransactionLog.ts"
import { idOfRecord } from "./payload.ts"

/** Where a message is. */
export interface Place {
  readonly logId: number
  readonly offset: number
  readonly seq: Seq
}

export interface ModelLog {
  readonly id: number
  startOffset: number
  nextOffset: number
  isDeleted: boolean
  maxTimestampMs: number
  /** By offset from 0 on; retention takes nothing away here. */
  readonly ids: Array<string>
  /** When each became durable, simulated ms. */
  readonly durableMs: Array<number>
  readonly seqs: Array<Seq>
}

/** Where a batch's bytes begin that its CRC covers. */
const crcFrom = 21

/** The internal log of messages for durable sessions. */
export const sessionLogId = 1

/**
 * What must be true, told by nothing but what has become durable: every log's messages, the streams, and every actor's
 * state, folded again beside the server from the journal's beginning. Anything that does not fit is a violation.
 */
export class Model {
  readonly #violated: (message: string) => void
  readonly #elapsedMs: () => number
  readonly #definitions: ReadonlyMap<string, AnyDefinition>
  readonly #states = new Map<ActorId, unknown>()
  readonly #places = new Map<string, Array<Place>>()
  /** When each message first became durable for the sessions that wait for it. */
  readonly #queuedSeq = new Map<string, Seq>()
  readonly #topicIds = new Set<string>()
  readonly logs = new Map<number, ModelLog>()
  readonly streams = new Map<string, SavedStream>()
  /** Of the streams that have a policy of their own, by log id. */
  readonly keyed = new Map<number, KeyedLog>()
  /** By log id. */
  readonly transactions = new Map<number, TransactionLog>()
  readonly #logIds = new Set<number>([sessionLogId])
  readonly groups = new Map<string, GroupModel>()
  readonly #sessionTimes: SessionTimes
  readonly #sharedQueues: SharedQueues
  readonly streamShares: StreamShareWatch
  readonly #refusals: RefusalTimes
  nextSeq: Seq = 1
  epoch = 0
  /** The epoch that a new process must go beyond. */
  epochBefore = 0
  events = 0

  readonly #expiry: OffsetExpiry

  constructor(
    definitions: ReadonlyArray<AnyDefinition>,
    expiry: OffsetExpiry,
    elapsedMs: () => number,
    violated: (message: string) => void
  ) {
    this.#expiry = expiry
    this.#definitions = new Map(definitions.map((definition) => [definition.kind, definition]))
    this.#elapsedMs = elapsedMs
    this.#violated = violated
    this.#sessionTimes = new SessionTimes(violated)
    this.#sharedQueues = new SharedQueues((clientId) => this.state(`session/${clientId}`), violated)
    this.streamShares = new StreamShareWatch(this, violated)
    this.#refusals = new RefusalTimes(violated)
  }

  log(id: number): ModelLog {
    let log = this.logs.get(id)
    if (log === undefined) {
      log = { id, startOffset: 0, nextOffset: 0, isDeleted: false, maxTimestampMs: 0, ids: [], durableMs: [], seqs: [] }
      this.logs.set(id, log)
    }
    return log
  }

  transactionsOf(logId: number): TransactionLog {
    let transactions = this.transactions.get(logId)
    if (transactions === undefined) {
      transactions = new TransactionLog()
      this.transactions.set(logId, transactions)
    }
    return transactions
  }

  /** Whether a stream with this id ever was. */
  wasTopic(topicId: string): boolean {
    return this.#topicIds.has(topicId)
  }

  logOf(stream: string, partition: number): ModelLog | undefined {
    const logId = this.streams.get(stream)?.logIds[partition]
    return logId === undefined ? undefined : this.log(logId)
  }

  /** Everywhere where the message is, the internal log left out. */
  placesOf(id: string): ReadonlyArray<Place> {
    return this.#places.get(id) ?? []
  }

  /** Those in one stream. */
  placesIn(id: string, stream: string): ReadonlyArray<Place> {
    const logIds = this.streams.get(stream)?.logIds ?? []
    return this.placesOf(id).filter(({ logId }) => logIds.includes(logId))
  }

  queuedBefore(id: string, seq: Seq): boolean {
    return (this.#queuedSeq.get(id) ?? Infinity) < seq
  }

  idsOfSender(sender: string): ReadonlyArray<string> {
    return [...this.#places.keys()].filter((id) => id.startsWith(`${sender}:`))
  }

  // --- What becomes durable ---

  apply(commit: Commit): void {
    const head = this.#head(commit)
    const visitor: FrameVisitor = {
      records: (seq, ref) => this.#records(commit, head, seq, ref),
      event: (seq, id, _version, payload) => this.#event(seq, id, unpack(payload) as { _tag: string }),
      hash: (seq, id, hash, stateVersion) => this.#hash(seq, id, hash, stateVersion)
    }
    readFrame(commit.frame, visitor, head)
    this.#sessionTimes.endFrame()
    this.#sharedQueues.endFrame()
    this.streamShares.endFrame()
    this.nextSeq = head.nextSeq
  }

  #head(commit: Commit): FrameHead {
    const head = readFrameHead(commit.frame)
    if (head.firstSeq !== this.nextSeq || head.firstSeq !== commit.firstSeq || head.nextSeq !== commit.nextSeq) {
      this.#violated(`a frame of seq ${head.firstSeq} to ${head.nextSeq} where ${this.nextSeq} was to come`)
    }
    if (head.epoch < this.epoch || head.epoch <= this.epochBefore) {
      this.#violated(`epoch ${head.epoch} at seq ${head.firstSeq}, though ${this.epoch} was there before`)
    }
    this.epoch = head.epoch
    return head
  }

  #evolve(id: ActorId, event: { readonly _tag: string }): void {
    this.events++
    const definition = this.#definitions.get(kindOf(id))
    if (definition === undefined) return this.#violated(`an event of ${id}, which is of no known kind`)
    try {
      this.#states.set(id, definition.evolve(this.#states.get(id) ?? definition.initial(id), event))
    } catch (error) {
      this.#violated(`${event._tag} of ${id} does not fold: ${String(error)}`)
    }
  }

  #records(commit: Commit, head: FrameHead, seq: Seq, ref: BatchRef): void {
    const log = this.log(ref.logId)
    if (log.isDeleted) this.#violated(`log ${ref.logId} was deleted and is appended to at seq ${seq}`)
    if (!this.#logIds.has(ref.logId)) this.#violated(`log ${ref.logId} is nobody's and is appended to at seq ${seq}`)
    if (ref.baseOffset !== log.nextOffset) {
      this.#violated(`log ${ref.logId}: offset ${ref.baseOffset} at seq ${seq} where ${log.nextOffset} was to come`)
    }
    if (!ref.verbatim && ref.firstTimestampMs < log.maxTimestampMs) {
      this.#violated(`log ${ref.logId}: the time goes back at seq ${seq}`)
    }
    const bytes = bytesOf(commit, ref)
    if (bytes === undefined || crc32c(bytes) !== ref.crc) {
      this.#violated(`log ${ref.logId}: the records at seq ${seq} are not there or fail their checksum`)
      return
    }
    this.#transactional(ref, bytes, seq)
    if (ref.verbatim && ref.marker === undefined) this.#bySettings(ref, bytes, head, seq)
    const before = log.ids.length
    const records = ref.verbatim || ref.place === "value" ? RecordBatch.recordsOf(bytes) : bytes
    iterate(records, ref.count, (record) => {
      const id = ref.marker === undefined ? idOfRecord(record) : ""
      if (id === undefined) this.#violated(`log ${ref.logId}: a message at seq ${seq} is not whole`)
      else this.#place(log, id, seq)
    })
    if (log.ids.length - before !== ref.count) this.#violated(`log ${ref.logId}: records are missing at seq ${seq}`)
    this.#keyedRecords(ref, bytes, records)
    log.nextOffset = ref.baseOffset + ref.count
    log.maxTimestampMs = Math.max(log.maxTimestampMs, ref.maxTimestampMs)
    this.#evolve(partitionId(ref.logId), recordsAppended(ref, head.epoch))
  }

  /** The journal says of a batch what the batch itself says. */
  #transactional(ref: BatchRef, bytes: Uint8Array, seq: Seq): void {
    const { logId, baseOffset, count, producer, marker, isTransactional = false, verbatim } = ref
    const isControl = verbatim && RecordBatch.isControl(bytes)
    const isOfTransaction = verbatim && RecordBatch.isTransactional(bytes)
    if (isControl !== (marker !== undefined) || isOfTransaction !== (isTransactional || isControl)) {
      this.#violated(
        `log ${logId}: the batch at seq ${seq} is of a transaction, or is none, and the journal says not so`
      )
    }
    if (isTransactional) this.transactionsOf(logId).records(producer!.id, baseOffset, count)
    if (marker === undefined) return
    const { producerId, producerEpoch } = marker
    if (RecordBatch.producerId(bytes) !== producerId || RecordBatch.producerEpoch(bytes) !== producerEpoch) {
      this.#violated(`log ${logId}: the marker at seq ${seq} is another producer's`)
    }
    this.transactionsOf(logId).marker(marker, baseOffset)
  }

  /** A producer's batch has the time of its append, and a CRC over it, if its stream says so, and is compressed as that says. */
  #bySettings(ref: BatchRef, bytes: Uint8Array, { timeMs }: FrameHead, seq: Seq): void {
    const stream = [...this.streams.values()].find(({ logIds }) => logIds.includes(ref.logId))
    if (stream === undefined) return
    const { timestampType, codec } = effectiveConfig(new Map(stream.config))
    if (codec !== undefined && RecordBatch.compression(bytes) !== codec) {
      this.#violated(`log ${ref.logId}: the batch at seq ${seq} is not compressed as its stream says`)
    }
    const isAsked = timestampType === "LogAppendTime"
    const isGiven = RecordBatch.isLogAppendTime(bytes)
    if (isGiven !== isAsked || isGiven !== (ref.isLogAppendTime === true)) {
      this.#violated(
        `log ${ref.logId}: whose time the batch at seq ${seq} has is not as its stream and the journal say`
      )
    }
    if (!isGiven) return
    const isRight = RecordBatch.maxTimestamp(bytes) === timeMs && ref.maxTimestampMs === timeMs
    if (!isRight || crc32c(bytes.subarray(crcFrom)) !== RecordBatch.crc(bytes)) {
      this.#violated(`log ${ref.logId}: the batch at seq ${seq} has not the time of its append, or a wrong CRC`)
    }
  }

  /** A producer's batch comes without its offsets. */
  #keyedRecords(ref: BatchRef, bytes: Uint8Array, records: Uint8Array): void {
    const keyed = this.keyed.get(ref.logId)
    if (keyed === undefined) return
    if (!ref.verbatim) eachKeyedOfRun(records, ref.baseOffset, ref.firstTimestampMs, (record) => keyed.add(record))
    else {
      const shift = ref.baseOffset - RecordBatch.baseOffset(bytes)
      eachKeyed(bytes, (record) => keyed.add({ ...record, offset: record.offset + shift }))
    }
  }

  #place(log: ModelLog, id: string, seq: Seq): void {
    const place = { logId: log.id, offset: log.ids.length, seq }
    log.ids.push(id)
    log.durableMs.push(this.#elapsedMs())
    log.seqs.push(seq)
    if (id === "") return
    if (log.id === sessionLogId) {
      if (!this.#queuedSeq.has(id)) this.#queuedSeq.set(id, seq)
      return
    }
    const known = this.#places.get(id)
    if (known === undefined) this.#places.set(id, [place])
    else known.push(place)
  }

  #event(seq: Seq, id: ActorId, event: { readonly _tag: string }): void {
    const kind = kindOf(id)
    if (kind === "catalog") this.#catalogEvent(event as CatalogEvent)
    else if (kind === "partition") this.#logEvent(this.log(logIdOf(id)), event as LogEvent)
    else if (kind === "group") this.#group(id).apply(event as never, seq, this.#elapsedMs())
    else if (kind === "client")
      this.#refusals.apply(nameOf(id), event as PublicationsRefused, this.epoch, this.#elapsedMs())
    else if (kind === "session") {
      this.#sessionTimes.apply(nameOf(id), event as SessionEvent, this.epoch, this.#elapsedMs())
      this.#sharedQueues.before(nameOf(id), event as SessionEvent)
      this.streamShares.beforeOfSession(nameOf(id), event as SessionEvent)
    } else if (kind === "streamShare") this.streamShares.before(nameOf(id), event as StreamShareEvent)
    this.#evolve(id, event)
  }

  #group(id: ActorId): GroupModel {
    const name = nameOf(id)
    let group = this.groups.get(name)
    if (group === undefined) {
      group = new GroupModel(name, this.#expiry, this.#violated)
      this.groups.set(name, group)
    }
    return group
  }

  #catalogEvent(event: CatalogEvent): void {
    if (event._tag === "StreamDeleted") this.streams.delete(event.name)
    if (event._tag === "StreamAltered") {
      const { filters, config, addedLogIds = [] } = event
      const stream = this.streams.get(event.name)!
      for (const logId of addedLogIds) this.#newLog(logId, stream.name, config)
      this.streams.set(event.name, { ...stream, filters, config, logIds: [...stream.logIds, ...addedLogIds] })
      for (const logId of stream.logIds) {
        const keyed = this.keyed.get(logId)
        if (keyed !== undefined) keyed.config = effectiveConfig(new Map(config))
      }
    }
    if (event._tag !== "StreamCreated") return
    const { stream } = event
    if (this.streams.has(stream.name)) this.#violated(`stream ${stream.name} is created though it is there`)
    if (this.#topicIds.has(stream.topicId)) this.#violated(`topic id ${stream.topicId} is used again`)
    for (const logId of stream.logIds) this.#newLog(logId, stream.name, stream.config)
    this.#topicIds.add(stream.topicId)
    this.streams.set(stream.name, stream)
  }

  #newLog(logId: number, stream: string, config: ReadonlyArray<readonly [string, string]>): void {
    if (this.#logIds.has(logId)) this.#violated(`log id ${logId} is used again, by ${stream}`)
    this.#logIds.add(logId)
    if (!config.some(([name]) => name === "cleanup.policy")) return
    this.keyed.set(logId, new KeyedLog(this.log(logId), effectiveConfig(new Map(config)), this.#violated))
  }

  #logEvent(log: ModelLog, event: LogEvent): void {
    if (event._tag === "LogDeleted") log.isDeleted = true
    if (event._tag !== "LogStartMoved") return
    if (event.offset < log.startOffset || event.offset > log.nextOffset) {
      this.#violated(`log ${log.id} of ${log.startOffset} to ${log.nextOffset} is made to begin at ${event.offset}`)
    }
    log.startOffset = event.offset
  }

  // --- States ---

  /** Of every actor that has something to remember, as a snapshot keeps it. */
  #saved(id: ActorId, state: unknown): Buffer | undefined {
    const definition = this.#definitions.get(kindOf(id))!
    return definition.isEmpty(state) ? undefined : packState(definition, state)
  }

  #hash(seq: Seq, id: ActorId, hash: Buffer, stateVersion: number): void {
    const definition = this.#definitions.get(kindOf(id))!
    if (stateVersion !== stateVersionOf(definition)) {
      this.#violated(`the journal's hash of ${id} at seq ${seq} is of version ${stateVersion} of its state`)
    }
    const own = hashOfState(definition, this.#states.get(id) ?? definition.initial(id))
    if (!own.equals(hash)) this.#violated(`the journal's hash of ${id} at seq ${seq} is not that of its replay`)
  }

  state<State>(id: ActorId): State | undefined {
    return this.#states.get(id) as State | undefined
  }

  /** A client whose will is triggered and not published yet. */
  clientWithPendingWill(): string | undefined {
    for (const [id, state] of this.#states) {
      if (kindOf(id) === "session" && (state as SessionState).pendingWills.length > 0) return nameOf(id)
    }
    return undefined
  }

  ids(): IterableIterator<ActorId> {
    return this.#states.keys()
  }

  /** What the server has in memory, when all that it decided is durable, is what the journal says. */
  compare(what: string, ids: Iterable<ActorId>, stateOf: (id: ActorId) => unknown): void {
    const all = new Set<ActorId>([...ids, ...this.#states.keys()])
    for (const id of all) {
      const definition = this.#definitions.get(kindOf(id))!
      const theirs = this.#saved(id, stateOf(id) ?? definition.initial(id))
      const own = this.#saved(id, this.#states.get(id) ?? definition.initial(id))
      if (theirs === undefined ? own === undefined : own !== undefined && theirs.equals(own)) continue
      const [a, b] = [own && unpack(own), theirs && unpack(theirs)]
      if (isDeepStrictEqual(a, b)) continue
      this.#violated(`${what}: ${id} is ${short(b)}, its replay ${short(a)}`)
    }
  }
}

const short = (value: unknown): string => JSON.stringify(value ?? null).slice(0, 600)

const bytesOf = (commit: Commit, { place, chunk, position, byteLength, logId, baseOffset, count }: BatchRef) => {
  if (place === "value") {
    return commit.batches.find((each) => each.logId === logId && each.lastOffset === baseOffset + count - 1)?.bytes
  }
  const whole = place === "frame" ? commit.frame : commit.chunks[chunk]
  return whole?.subarray(position, position + byteLength)
}
