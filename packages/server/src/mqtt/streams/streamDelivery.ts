import type { MessageRef, StreamDelivery } from "@logbrook/actors/session/SessionProtocol"
import type { Broker } from "../../Broker.ts"
import { noProperties } from "../../streams/PublishRoutes.ts"
import { OutgoingMessage } from "../Message.ts"
import { PartitionCursor } from "./PartitionCursor.ts"
import { partitionLogOf } from "./PartitionLog.ts"
import { foundRecord, messageOfRecord, type StreamMarks } from "./recordMessage.ts"
import { streamTopic } from "./StreamRequest.ts"

export const deliveryOf = (marks: StreamMarks, isFullTopic: boolean): StreamDelivery => ({
  ...marks,
  ...(isFullTopic && { isFullTopic })
})

/** Tells a client of MQTT 5 that the stream which it reads is no more. */
export const deletionMessage = (stream: string): OutgoingMessage =>
  new OutgoingMessage({
    ...noProperties,
    topic: streamTopic(stream),
    payload: new Uint8Array(0),
    qos: 0,
    retain: false,
    userProperties: [
      ["stream", stream],
      ["stream-deleted", "1"]
    ]
  })

/** The same for references whose messages are the same. */
export const keyOfDelivery = ({ logId, offset, stream }: MessageRef): string =>
  `${logId}/${offset}/${stream?.gap ?? 0}/${stream?.isCaughtUp === true}/${stream?.isFullTopic === true}`

/** Reads records by their references: those of a partition, in the order of their offsets, cost each batch once. */
export class DeliveryReader {
  readonly #broker: Broker
  /** By log id. */
  readonly #cursors = new Map<number, PartitionCursor>()
  /** Batches, and the records of those that were compressed. */
  bytesRead = 0

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Whether the batch that has, or had, the record was read last. */
  holds({ logId, offset }: Pick<MessageRef, "logId" | "offset">): boolean {
    return this.#cursors.get(logId)?.holds(offset) === true
  }

  /** The message of a reference to a stream's record; undefined: retention took it, or its stream was deleted. */
  read(
    { logId, offset, stream: delivery = {} }: Omit<MessageRef, "bytes">,
    hasProperties: boolean
  ): OutgoingMessage | undefined {
    const { shards, directory } = this.#broker
    const place = directory.byLogId(logId)
    if (place === undefined) return undefined
    const { stream, partition } = place
    let cursor = this.#cursors.get(logId)
    if (cursor === undefined || offset < cursor.position) {
      const log = partitionLogOf(shards.logsOf(logId), logId)
      cursor = new PartitionCursor(partition, log, offset, { offset: Infinity, timeMs: Infinity })
      this.#cursors.set(logId, cursor)
    }
    cursor.skipTo(offset)
    const isHeld = cursor.holds(offset)
    const isThere = cursor.hasNext(1, offset + 1) && cursor.offset === offset
    if (!isHeld) this.bytesRead += cursor.heldBytes
    if (!isThere) return undefined
    const record = foundRecord(stream.name, partition, offset, cursor.timestampMs, cursor.record)
    return new OutgoingMessage(messageOfRecord(record, delivery, delivery.isFullTopic === true, hasProperties))
  }
}

/** The message of a single reference, see `DeliveryReader`. */
export const readDelivery = (broker: Broker, ref: MessageRef, hasProperties: boolean): OutgoingMessage | undefined =>
  new DeliveryReader(broker).read(ref, hasProperties)
