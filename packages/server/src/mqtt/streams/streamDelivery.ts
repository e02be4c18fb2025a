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

/** The message of a reference to a stream's record, read again; undefined: retention took it, or its stream was deleted. */
export const readDelivery = (
  { shards, directory }: Broker,
  { logId, offset, stream: delivery = {} }: MessageRef,
  hasProperties: boolean
): OutgoingMessage | undefined => {
  const place = directory.byLogId(logId)
  if (place === undefined) return undefined
  const log = partitionLogOf(shards.logsOf(logId), logId)
  const { stream, partition } = place
  const cursor = new PartitionCursor(partition, log, offset, { offset: offset + 1, timeMs: Infinity })
  if (!cursor.hasNext(1, offset + 1) || cursor.offset !== offset) return undefined
  const record = foundRecord(stream.name, partition, offset, cursor.timestampMs, cursor.record)
  return new OutgoingMessage(messageOfRecord(record, delivery, delivery.isFullTopic === true, hasProperties))
}
