import type { Log } from "@logbrook/core/storage/Log"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import type { RequestOf, ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import { isFailure } from "../Access.ts"
import { after, type Answer } from "../Answer.ts"
import { handler, type ContextOf, type RequestContext } from "../Handler.ts"
import { checkLeaderEpoch, epochAt } from "../leaderEpochs.ts"
import { overTurns } from "../overTurns.ts"
import { readLog } from "../readLog.ts"
import { Reply } from "../Reply.ts"

// ListOffsets 1-11: the ends of a log, an offset for a time, the largest timestamp (v7), the local start (v8), which is
// the start, and of tiered storage, which is not there, its end (v9) and what it lacks (v11), which never are. For a reader of
// committed records (v2) a log ends at its last stable offset. A partition that is asked for twice is refused, as by Kafka. Left out: replicas (a replica id >= 0 is refused),
// and the timeout (v10): nothing is looked up elsewhere. A lookup by time unpacks a batch or a run, so many of them are spread over turns of the
// event loop, and the connection's next request waits meanwhile.

const readCommitted = 1

const special = {
  latest: -1,
  earliest: -2,
  maxTimestamp: -3,
  earliestLocal: -4,
  latestTiered: -5,
  earliestPending: -6
} as const

/** The version that brought a special timestamp. */
const versionMin: ReadonlyMap<number, number> = new Map([
  [special.latest, 1],
  [special.earliest, 1],
  [special.maxTimestamp, 7],
  [special.earliestLocal, 8],
  [special.latestTiered, 9],
  [special.earliestPending, 11]
])

interface Found {
  readonly errorCode: number
  readonly timestamp: number
  readonly offset: number
  readonly leaderEpoch: number
}

const nothing = (errorCode: number): Found => ({ errorCode, timestamp: -1, offset: -1, leaderEpoch: -1 })

/** `endOffset`: where the log ends for this reader. */
const find = (context: RequestContext, log: Log, timestamp: number, endOffset: number): Found => {
  const shard = context.node.broker.shards.ofLog(log.id)
  const at = (offset: number, foundAtMs: number): Found => ({
    errorCode: KafkaError.NONE,
    timestamp: foundAtMs,
    offset,
    leaderEpoch: epochAt(shard, log, offset)
  })
  if (timestamp === special.latest) return at(endOffset, -1)
  if (timestamp === special.earliest || timestamp === special.earliestLocal) return at(log.startOffset, -1)
  if (timestamp === special.latestTiered || timestamp === special.earliestPending) return nothing(KafkaError.NONE)
  const found =
    timestamp === special.maxTimestamp ? shard.logs.maxTimestamp(log) : shard.logs.offsetForTimestamp(log, timestamp)
  return found === undefined || found.offset >= endOffset
    ? nothing(KafkaError.NONE)
    : at(found.offset, found.timestampMs)
}

const needs = { Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>
type Topics = RequestOf<typeof ListOffsets>["topics"]
type Asked = Topics[number]["partitions"][number]

interface Answered extends Found {
  readonly partitionIndex: number
}

/** A partition that is asked for, and where its answer goes. */
interface Lookup {
  readonly name: string
  readonly partitionIndex: number
  /** Undefined: it is there twice. */
  readonly asked: Asked | undefined
  readonly partitions: Array<Answered>
}

const offsetOf = (context: Context, topic: string, asked: Asked, version: number, isolationLevel: number): Found => {
  const { shards } = context.node.broker
  const stream = context.topic("Describe", topic)
  if (isFailure(stream)) return nothing(stream.code)
  const logId = stream.logIds[asked.partitionIndex]
  if (logId === undefined) return nothing(KafkaError.UNKNOWN_TOPIC_OR_PARTITION)
  const fenced = checkLeaderEpoch(shards.ofLog(logId), asked.currentLeaderEpoch)
  if (fenced !== KafkaError.NONE) return nothing(fenced)
  if (asked.timestamp < 0 && version < (versionMin.get(asked.timestamp) ?? Infinity)) {
    return nothing(KafkaError.UNSUPPORTED_VERSION)
  }
  const found = readLog(context, topic, asked.partitionIndex, () => {
    const log = shards.logsOf(logId).log(logId)
    const endOffset = isolationLevel === readCommitted ? log.lastStableOffset : log.highWatermark
    return find(context, log, asked.timestamp, endOffset)
  })
  return found ?? nothing(KafkaError.KAFKA_STORAGE_ERROR)
}

/** The partitions that are asked for, by topic; undefined for one that is there twice, which Kafka refuses. */
const partitionsByTopic = (topics: Topics): ReadonlyMap<string, ReadonlyMap<number, Asked | undefined>> => {
  const byTopic = new Map<string, Map<number, Asked | undefined>>()
  for (const { name, partitions } of topics) {
    const own = byTopic.get(name) ?? new Map<number, Asked | undefined>()
    byTopic.set(name, own)
    for (const asked of partitions) own.set(asked.partitionIndex, own.has(asked.partitionIndex) ? undefined : asked)
  }
  return byTopic
}

const listOffsets = (
  context: Context,
  request: RequestOf<typeof ListOffsets>,
  version: number
): Answer<Reply<ResponseInputOf<typeof ListOffsets>>> => {
  const isReplica = request.replicaId >= 0
  const answer = (name: string, asked: Asked | undefined): Found => {
    if (isReplica) return nothing(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    return asked === undefined
      ? nothing(KafkaError.INVALID_REQUEST)
      : offsetOf(context, name, asked, version, request.isolationLevel)
  }
  const lookups: Array<Lookup> = []
  const topics = Array.from(partitionsByTopic(request.topics), ([name, own]) => {
    const partitions: Array<Answered> = []
    for (const [partitionIndex, asked] of own) lookups.push({ name, partitionIndex, asked, partitions })
    return { name, partitions }
  })
  const violation = isReplica ? `ListOffsets as replica ${request.replicaId}` : undefined
  const { clock } = context.node.broker
  const { lookupShare } = context.node
  const lookUp = ({ name, partitionIndex, asked, partitions }: Lookup): void => {
    const begunMs = clock.monotonicMs()
    partitions.push({ partitionIndex, ...answer(name, asked) })
    lookupShare.use(clock.monotonicMs() - begunMs)
  }
  const goOn = context.holdBack()
  return after(overTurns(context, lookupShare, lookups, lookUp), () => {
    goOn()
    return new Reply({ topics }, { violation })
  })
}

export const listOffsetsHandler = handler(ListOffsets, { serves: [1, 11], needs, handle: listOffsets })
