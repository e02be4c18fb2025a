import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeLogDirs } from "@logbrook/protocols/kafka/messages/35_DescribeLogDirs"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"

// DescribeLogDirs 1-5: one directory, the journal's, with the bytes of each partition that readers can reach. All partitions share
// its files, so what they take of the disk differs: compressed where they are settled, and with what has expired until that is gone.
// Topics and partitions that are not there are left out, as Kafka leaves them out.

const needs = { Cluster: ["Describe"], Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>

/** The directory's path is the server's own business. */
const logDir = "/journal"

const describePartition = ({ node }: Context, { logIds }: Stream, partitionIndex: number) => {
  const logId = logIds[partitionIndex]
  if (logId === undefined) return []
  const partitionSize = node.broker.shards.logsOf(logId).find(logId)?.byteLength ?? 0
  return [{ partitionIndex, partitionSize, offsetLag: 0, isFutureKey: false }]
}

const allOf = ({ logIds }: Stream): ReadonlyArray<number> => [...logIds.keys()]

export const describeLogDirsHandler = handler(DescribeLogDirs, {
  serves: [1, 5],
  needs,
  handle: (context, request) => {
    const denied = context.deniedCluster("Describe")
    if (denied !== undefined) return { errorCode: denied.code, results: [] }
    const asked =
      request.topics === null
        ? context.topics("Describe").map((stream) => ({ stream, partitions: allOf(stream) }))
        : request.topics.map(({ topic, partitions }) => ({ stream: context.topic("Describe", topic), partitions }))
    // A partition once, however often it is named, and no topic without partitions, as Kafka answers.
    const topics = asked.flatMap(({ stream, partitions: indexes }) => {
      if (isFailure(stream)) return []
      const partitions = [...new Set(indexes)].flatMap((each) => describePartition(context, stream, each))
      return partitions.length === 0 ? [] : [{ name: stream.name, partitions }]
    })
    const { totalBytes, freeBytes } = context.node.broker.disk
    const usableBytes = Number.isFinite(freeBytes) ? freeBytes : -1
    const size = { totalBytes: usableBytes === -1 ? -1 : totalBytes, usableBytes }
    return { results: [{ errorCode: KafkaError.NONE, logDir, topics, ...size }] }
  }
})
