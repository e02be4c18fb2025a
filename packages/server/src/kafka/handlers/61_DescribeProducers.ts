import { partitionActor, type ProducerDescription } from "@logbrook/actors/partition/Partition"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import type { ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { isFailure } from "../Access.ts"
import { after, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { readLog } from "../readLog.ts"
import { Reply } from "../Reply.ts"
import { answersByTopic, bounded, failureOfName, partitionsOnce } from "../requestElements.ts"

// DescribeProducers 0 (KIP-664): the idempotent producers that a partition remembers, the least recently used first, with their
// transactions. A partition knows the newest time of transactions; that of another producer stands in its newest batch, as long as that is
// there. A partition that is named again is answered once.

type Partition = ResponseInputOf<typeof DescribeProducers>["topics"][number]["partitions"][number]

const needs = { Topic: ["Read"] } as const

type Context = ContextOf<typeof needs>

/** Settled runs of so many bytes are read in one request, in one turn of the event loop: the newest producers of each partition come first. */
const runBytesMax = 4 * 1024 * 1024

interface Budget {
  runBytes: number
}

/** A transaction's time is known without its batch. */
const needsTime = ({ lastTimestamp, lastBatchOffset }: ProducerDescription): boolean =>
  lastTimestamp < 0 && lastBatchOffset >= 0

/** Throws `JournalError` for batches that cannot be read. */
const withTimes = (
  context: Context,
  logId: number,
  budget: Budget,
  producers: ReadonlyArray<ProducerDescription>
): ReadonlyArray<ProducerDescription> => {
  const { logs } = context.node.broker.shards.ofLog(logId)
  const offsets = producers.filter(needsTime).map(({ lastBatchOffset }) => lastBatchOffset)
  const { times, readBytes } = logs.batchTimes(logs.log(logId), offsets.reverse(), budget.runBytes)
  budget.runBytes -= readBytes
  return producers.map((each) => {
    const timeMs = needsTime(each) ? times.get(each.lastBatchOffset) : undefined
    return timeMs === undefined ? each : { ...each, lastTimestamp: timeMs }
  })
}

const describePartition = (
  context: Context,
  topic: string,
  partitionIndex: number,
  budget: Budget
): Answer<Partition> => {
  const refuse = (errorCode: number, errorMessage: string | null): Partition => ({
    partitionIndex,
    errorCode,
    errorMessage,
    activeProducers: []
  })
  const stream = context.topic("Read", topic)
  if (isFailure(stream)) {
    const { code, message } = failureOfName(stream, topic)
    return refuse(code, message)
  }
  const logId = stream.logIds[partitionIndex]
  if (logId === undefined) return refuse(KafkaError.UNKNOWN_TOPIC_OR_PARTITION, null)
  return context.ask(partitionActor(logId), { _tag: "DescribeProducers" }, (exit) => {
    if (Exit.isFailure(exit)) {
      const { code, message } = failureOf(exit.cause, KafkaError.NOT_LEADER_OR_FOLLOWER)
      return refuse(code, message)
    }
    const { producers } = exit.value
    const activeProducers = readLog(context, topic, partitionIndex, () => withTimes(context, logId, budget, producers))
    if (activeProducers === undefined) return refuse(KafkaError.KAFKA_STORAGE_ERROR, null)
    return { partitionIndex, errorCode: KafkaError.NONE, activeProducers }
  })
}

export const describeProducersHandler = handler(DescribeProducers, {
  serves: [0, 0],
  needs,
  handle: (context, request) => {
    const all = partitionsOnce(
      request.topics.map(({ name, partitionIndexes }) => [name, partitionIndexes] as const),
      (partitionIndex) => partitionIndex
    )
    const [some, violation] = bounded("DescribeProducers", "partitions", all)
    const budget = { runBytes: runBytesMax }
    return after(
      answersByTopic(some, (topic, partitionIndex) => describePartition(context, topic, partitionIndex, budget)),
      (topics) => new Reply({ topics }, { violation })
    )
  }
})
