import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { isFailure } from "./Access.ts"
import { refused, type Failure } from "./errors.ts"
import type { ContextOf } from "./Handler.ts"

/** Its text names no topic: a request may name one long topic for many partitions. */
const noSuchPartition = refused(KafkaError.UNKNOWN_TOPIC_OR_PARTITION, "No such partition.")

/** Why the client cannot be told of this partition. Undefined: it is there. */
export const partitionFailure = (
  context: ContextOf<{ readonly Topic: readonly ["Describe"] }>,
  topic: string,
  partition: number
): Failure | undefined => {
  const stream = context.topic("Describe", topic)
  if (!isFailure(stream)) return stream.logIds[partition] === undefined ? noSuchPartition : undefined
  return stream.code === KafkaError.UNKNOWN_TOPIC_OR_PARTITION ? noSuchPartition : stream
}
