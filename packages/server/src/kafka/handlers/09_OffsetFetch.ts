import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { FetchedOffset, TopicPartition } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { after, afterAll, type Answer } from "../Answer.ts"
import { failureOf, type Failure } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// OffsetFetch 1-10: what was asked for or all (v2), of several groups (v8), topics named by their ids (v10). An offset that was never committed is -1 without an error.
// An offset that a transaction may be about to change is UNSTABLE_OFFSET_COMMIT for who asks so (v7, KIP-447). Left out: the members and epochs of KIP-848 groups (v9).

const needs = { Group: ["Describe"], Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>

/** A topic by its name up to v9, by its id from v10 on. */
interface AskedTopic {
  readonly name: string
  readonly topicId?: string
  readonly partitionIndexes: ReadonlyArray<number>
}

type AskedTopics = ReadonlyArray<AskedTopic> | null

interface FetchedTopic {
  readonly name: string
  readonly topicId: string
  readonly partitions: ReadonlyArray<FetchedPartition>
}

interface FetchedGroup {
  readonly groupId: string
  readonly errorCode: number
  readonly topics: ReadonlyArray<FetchedTopic>
}

interface FetchedPartition {
  readonly partitionIndex: number
  readonly committedOffset: number
  readonly committedLeaderEpoch: number
  readonly metadata: string | null
  readonly errorCode: number
}

const topicIdVersionMin = 10

const streamOf = (context: Context, { name, topicId = zeroUuid }: AskedTopic, version: number): Stream | Failure =>
  version >= topicIdVersionMin ? context.topicById("Describe", topicId) : context.topic("Describe", name)

const partitionsOf = (context: Context, topics: AskedTopics, version: number): ReadonlyArray<TopicPartition> | null => {
  if (topics === null) return null
  return topics.flatMap((asked) => {
    // Nothing was ever committed under the zero id: a stream that does not exist is answered like one never read.
    const stream = streamOf(context, asked, version)
    const topicId = isFailure(stream) ? zeroUuid : stream.topicId
    return asked.partitionIndexes.map((partition) => ({ topicId, partition }))
  })
}

const fetchedPartition = (
  { partition, offset, leaderEpoch, metadata, isUnstable }: FetchedOffset,
  errorCode: number
): FetchedPartition => ({
  partitionIndex: partition,
  committedOffset: offset,
  committedLeaderEpoch: leaderEpoch,
  metadata,
  errorCode: isUnstable === true ? KafkaError.UNSTABLE_OFFSET_COMMIT : errorCode
})

/**
 * A topic that the client may not describe, or whose id is unknown, is answered like one that was never read, with the error. A name that
 * is unknown is none: the topic may have been read, and be gone.
 */
const inOrderAsked = (
  context: Context,
  topics: NonNullable<AskedTopics>,
  offsets: ReadonlyArray<FetchedOffset>,
  version: number
): ReadonlyArray<FetchedTopic> => {
  let at = 0
  return topics.map((asked) => {
    const { name, topicId = zeroUuid, partitionIndexes } = asked
    const stream = streamOf(context, asked, version)
    const isTold = isFailure(stream) && stream.code !== KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    const errorCode = isTold ? stream.code : KafkaError.NONE
    const own = offsets.slice(at, at + partitionIndexes.length)
    const partitions = own.map((committed) => fetchedPartition(committed, errorCode))
    at += partitionIndexes.length
    return { name, topicId, partitions }
  })
}

/** Offsets of streams that are gone, or that the client may not describe, are left out. */
const byStream = (context: Context, offsets: ReadonlyArray<FetchedOffset>): ReadonlyArray<FetchedTopic> => {
  const partitions = new Map<Stream, Array<FetchedPartition>>()
  for (const committed of offsets) {
    const stream = context.topicById("Describe", committed.topicId)
    if (isFailure(stream)) continue
    const known = partitions.get(stream)
    if (known === undefined) partitions.set(stream, [fetchedPartition(committed, KafkaError.NONE)])
    else known.push(fetchedPartition(committed, KafkaError.NONE))
  }
  return Array.from(partitions, ([{ name, topicId }, fetched]) => ({ name, topicId, partitions: fetched }))
}

const fetchGroup = (
  context: Context,
  groupId: string,
  topics: AskedTopics,
  requireStable: boolean,
  version: number
): Answer<FetchedGroup> => {
  const invalid = groupIdError(groupId)
  if (invalid !== KafkaError.NONE) return { groupId, errorCode: invalid, topics: [] }
  const group = context.group("Describe", groupId)
  if (isFailure(group)) return { groupId, errorCode: group.code, topics: [] }
  const partitions = partitionsOf(context, topics, version)
  return context.ask(group, { _tag: "FetchOffsets", partitions, requireStable }, (exit) => {
    if (Exit.isFailure(exit)) {
      // Java clients before 3.9 give up at COORDINATOR_NOT_AVAILABLE here, and look for the coordinator at this.
      const { code } = failureOf(exit.cause, KafkaError.NOT_COORDINATOR)
      return { groupId, errorCode: code, topics: [] }
    }
    const { offsets } = exit.value
    const fetched = topics === null ? byStream(context, offsets) : inOrderAsked(context, topics, offsets, version)
    return { groupId, errorCode: KafkaError.NONE, topics: fetched }
  })
}

/** v1 has no error of the group: there it stands at every partition. */
const withErrors = ({ errorCode, topics }: FetchedGroup, asked: AskedTopics): FetchedGroup["topics"] => {
  if (errorCode === KafkaError.NONE) return topics
  const failed = { committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode }
  return (asked ?? []).map(({ name, partitionIndexes }) => ({
    name,
    topicId: zeroUuid,
    partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, ...failed }))
  }))
}

export const offsetFetchHandler = handler(OffsetFetch, {
  serves: [1, 10],
  needs,
  handle: (context, request, version) => {
    const { requireStable } = request
    if (version < 8) {
      return after(fetchGroup(context, request.groupId, request.topics, requireStable, version), (group) => ({
        topics: withErrors(group, request.topics),
        errorCode: group.errorCode
      }))
    }
    const [asked, violation] = bounded("OffsetFetch", "groups", request.groups)
    const fetched = asked.map(({ groupId, topics }) => fetchGroup(context, groupId, topics, requireStable, version))
    return afterAll(fetched, (groups) => new Reply({ groups }, { violation }))
  }
})
