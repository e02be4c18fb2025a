import type { ActorId } from "../actor/Definition.ts"
import type { AnyKind, CommandOf, OnAnswer } from "../actor/Kind.ts"
import type { Buffers } from "../BufferPool.ts"
import type { Cause } from "../journal/Frame.ts"
import { recordOverheadBytesMax, type Limits } from "../Limits.ts"
import { RecordsBuilder } from "../Record.ts"
import type { CommandList, ListAnswer, RecordRefusal } from "./CommandList.ts"

/**
 * A command on its way to an actor, whatever its kind: the one place where commands and replies of all kinds meet.
 * `Shard.unsafeAsk` and `tell` see to it that command and reply fit together.
 */
export interface Ask {
  readonly to: ActorId
  readonly command: CommandOf<AnyKind>
  readonly cause: Cause
  /** Called once, after what was decided is durable. */
  readonly reply?: OnAnswer<AnyKind>
  /** The bytes that the command carries to the journal, if they are many, such as a record batch. */
  readonly byteLength?: number
}

/** A list on its way to the actors of its entries. */
export interface ListAsk {
  readonly list: CommandList
  readonly cause: Cause
  /** Called once, after what was decided is durable. */
  readonly onAnswer: (answer: ListAnswer) => void
  readonly byteLength: number
}

/** Someone whose message is acknowledged once it is durable, such as an MQTT connection. */
export interface AckReceiver {
  /** `index`: of the message's record in `batch`; `batch.refusal` tells why there is none. No batch: only the turn was waited for. */
  readonly acked: (token: number, batch: PartitionBatch | undefined, index: number) => void
}

/** The records that one turn appends to one partition: encoded as they come, decided once. */
export class PartitionBatch {
  readonly logId: number
  /** Its place among the batches of its turn, from 0 on. */
  readonly number: number
  readonly records: RecordsBuilder
  readonly #first: string
  #newest: string
  /** Once there are several. */
  #origins: Set<string> | undefined
  /** Known after the decision. */
  baseOffset = -1
  refusal: RecordRefusal | undefined

  constructor(logId: number, records: RecordsBuilder, origin: string, number = -1) {
    this.logId = logId
    this.number = number
    this.records = records
    this.#first = this.#newest = origin
  }

  /** A record of `origin` follows. Mostly it is the very string of the one before. */
  joins(origin: string): void {
    if (origin === this.#newest) return
    this.#newest = origin
    this.#origins ??= new Set([this.#first])
    this.#origins.add(origin)
  }

  /** The origin of its records; if there are several, their number, as each record tells its own in its headers. */
  get origin(): string {
    return this.#origins === undefined ? this.#first : `${this.#origins.size} publishers`
  }

  /** A batch that takes no records, for one that did not fit. */
  static refused(logId: number, origin: string, refusal: RecordRefusal): PartitionBatch {
    const batch = new PartitionBatch(logId, new RecordsBuilder(0), origin)
    batch.refusal = refusal
    return batch
  }
}

/**
 * A batch is full at this; above it there is room for one record of the longest MQTT packet. Buffers of this size go round:
 * those of batches of up to 512 KB were mostly of a size that nobody had given back. With its header a batch of small records
 * fits 14 of LMDB's pages.
 */
const batchBytesFull = 56 * 1024 - 512
const buildersKept = 256

/** The commands and records that wait for the next turn. */
export class Intake {
  readonly asks: Array<Ask | ListAsk> = []
  readonly batches: Array<PartitionBatch> = []
  readonly ackReceivers: Array<AckReceiver> = []
  readonly ackTokens: Array<number> = []
  readonly ackBatches: Array<PartitionBatch | undefined> = []
  readonly ackIndexes: Array<number> = []
  readonly #open = new Map<number, PartitionBatch>()
  bytes = 0
  #commands = 0
  /** The turn ends with a hash of every actor that has changed since its last one. */
  hashesAll = false

  get isEmpty(): boolean {
    return this.asks.length === 0 && this.batches.length === 0 && this.ackTokens.length === 0
  }

  get commands(): number {
    return this.#commands + this.ackTokens.length
  }

  add(ask: Ask | ListAsk): void {
    this.asks.push(ask)
    this.#commands += "list" in ask ? ask.list.entries.length : 1
    this.bytes += ask.byteLength ?? 0
  }

  /** The batch of this partition that is still open, or a new one, for a record of `origin`. */
  partitionBatch(logId: number, origin: string, builders: BuilderPool): PartitionBatch {
    const open = this.#open.get(logId)
    if (open !== undefined && open.records.byteLength < batchBytesFull) {
      open.joins(origin)
      return open
    }
    const batch = new PartitionBatch(logId, builders.take(), origin, this.batches.length)
    this.#open.set(logId, batch)
    this.batches.push(batch)
    return batch
  }

  ack(receiver: AckReceiver, token: number, batch: PartitionBatch | undefined, index: number): void {
    this.ackReceivers.push(receiver)
    this.ackTokens.push(token)
    this.ackBatches.push(batch)
    this.ackIndexes.push(index)
  }
}

/** Record buffers that go round, so that a turn allocates none. */
export class BuilderPool {
  readonly #free: Array<RecordsBuilder> = []
  readonly #buffers: Buffers
  readonly #batchBytesMax: number

  constructor(buffers: Buffers, limits: Limits) {
    this.#buffers = buffers
    // A record tells more than its packet: key, topic, client id and the names of the headers.
    this.#batchBytesMax = batchBytesFull + limits.mqttPacketBytesMax + recordOverheadBytesMax(limits)
  }

  take(): RecordsBuilder {
    return this.#free.pop() ?? new RecordsBuilder(this.#batchBytesMax, undefined, this.#buffers)
  }

  give(builder: RecordsBuilder): void {
    if (this.#free.length >= buildersKept) return
    builder.reset()
    this.#free.push(builder)
  }
}
