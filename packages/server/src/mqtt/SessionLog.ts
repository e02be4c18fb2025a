import { type MessageRef, sessionActor } from "@logbrook/actors/session/SessionProtocol"
import { RecordReader, type RecordHeader } from "@logbrook/core/Record"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import {
  type CommandList,
  type EntryIndex,
  fromEntry,
  type RecordPlace,
  type RecordRefusal
} from "@logbrook/core/shard/CommandList"
import { PartitionBatch } from "@logbrook/core/shard/Intake"
import { ownLogId, type Shards } from "@logbrook/core/shard/Shards"
import { extraHeaders, headerNames, mqttHeaders, type Placed, type Publication } from "../streams/PublishRoutes.ts"
import { OutgoingMessage } from "./Message.ts"

/** The id of the first shard's log that holds what waits for durable sessions; see `Catalog`'s first log id. */
export const sessionLogId = ownLogId(0)

const readBytes = 64 * 1024
const recordOverheadBytes = 24

const utf8 = (text: string): Uint8Array => Buffer.from(text, "utf8")
const text = (bytes: Uint8Array | null): string =>
  bytes === null ? "" : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")

/** Into the queue of a durable session: a reference to the record of this entry, if that is taken. */
export const addEnqueue = (
  list: CommandList,
  clientId: string,
  logId: number,
  queued: EntryIndex<RecordPlace, RecordRefusal>,
  ref: Omit<MessageRef, "logId" | "offset">,
  onlyIf?: ReadonlyArray<number>
): void => {
  const messages = [{ ...ref, logId, offset: 0 }]
  const baseOffset = fromEntry(queued, "offset")
  list.add(sessionActor(clientId), { _tag: "Enqueue", messages, baseOffset }, onlyIf)
}

/**
 * The internal log, one in each shard that owns sessions, of what waits for durable sessions: each message once, as a record like those of streams.
 * Its key tells the number of user properties, because their names may be those of our own headers.
 */
export class SessionLog {
  readonly #shards: Shards
  readonly #reader = new RecordReader()
  /** The batch that was read last: sessions read one message after the other, and many of them the same one. */
  #logId = sessionLogId
  #baseOffset = 0
  #nextOffset = -1
  #endOffset = -1
  #last: OutgoingMessage | undefined

  constructor(shards: Shards) {
    this.#shards = shards
  }

  /** Into the next turn's partition batch of this log, the sessions' own (see `Shards.ownLogOf`). The publication's bytes are copied at once. */
  append(logId: number, publication: Publication, clientId: string, origin: string, nowMs: number): Placed {
    const { topic, qos, retain, payload, userProperties } = publication
    const block = mqttHeaders(topic, clientId, qos, retain)
    const shard = this.#shards.ofLog(logId)
    const batch = shard.partitionBatch(logId, origin)
    const { count, byteLength } = batch.records
    const key = utf8(String(userProperties?.length ?? 0))
    if (batch.records.append(key, payload, block, nowMs, extraHeaders(publication))) {
      shard.recordsAdded(batch.records.byteLength - byteLength + recordOverheadBytes)
      return { batch, index: count }
    }
    return { batch: PartitionBatch.refused(logId, origin, "MessageTooLarge"), index: 0 }
  }

  /** The message at `offset` of a log; undefined if it has gone with the log's retention. */
  read(logId: number, offset: number): OutgoingMessage | undefined {
    if (!this.#shards.isOwnLog(logId)) return undefined
    if (logId !== this.#logId) this.#forget(logId)
    if (this.#last !== undefined && offset === this.#nextOffset - 1) return this.#last
    if (offset < this.#nextOffset || offset >= this.#endOffset) {
      if (!this.#load(offset)) return undefined
    }
    while (this.#reader.next()) {
      this.#nextOffset = this.#baseOffset + this.#reader.offsetDelta + 1
      if (this.#nextOffset <= offset) continue
      this.#last = new OutgoingMessage(decode(this.#reader))
      return this.#last
    }
    this.#nextOffset = -1
    return undefined
  }

  #forget(logId: number): void {
    this.#logId = logId
    this.#last = undefined
    this.#nextOffset = -1
    this.#endOffset = -1
  }

  #load(offset: number): boolean {
    this.#last = undefined
    this.#nextOffset = -1
    const { logs } = this.#shards.ofLog(this.#logId)
    const log = logs.log(this.#logId)
    if (offset < log.startOffset || offset >= log.highWatermark) return false
    const batch = logs.read(log, offset, readBytes)[0]
    if (batch === undefined) return false
    this.#baseOffset = RecordBatch.baseOffset(batch)
    this.#nextOffset = this.#baseOffset
    this.#endOffset = RecordBatch.lastOffset(batch) + 1
    this.#reader.reset(RecordBatch.storedRecordsOf(batch))
    return offset >= this.#baseOffset && offset < this.#endOffset
  }
}

const decode = (record: RecordReader): Publication => {
  const headers = record.headers()
  const userCount = Number(text(record.key()))
  const userProperties = headers.slice(4, 4 + userCount).map(([name, value]) => [text(name), text(value)] as const)
  const own = new Map(headers.slice(4 + userCount).map(([name, value]: RecordHeader) => [text(name), value]))
  const string = (name: Uint8Array): string | undefined => {
    const value = own.get(text(name))
    return value === undefined ? undefined : text(value)
  }
  const payloadFormat = string(headerNames.payloadFormat)
  const expiryAtMs = string(headerNames.expiry)
  return {
    topic: text(headers[0]![1]),
    payload: record.value()!,
    qos: Number(text(headers[2]![1])),
    retain: text(headers[3]![1]) === "1",
    userProperties: userCount === 0 ? undefined : userProperties,
    contentType: string(headerNames.contentType),
    responseTopic: string(headerNames.responseTopic),
    correlationData: own.get(text(headerNames.correlationData)) ?? undefined,
    payloadFormat: payloadFormat === undefined ? undefined : Number(payloadFormat),
    expiryAtMs: expiryAtMs === undefined ? undefined : Number(expiryAtMs)
  }
}
