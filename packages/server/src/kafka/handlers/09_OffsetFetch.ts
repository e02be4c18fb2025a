import type { CommittedOffset, TopicPartition } from "@logbrook/actors/group/GroupProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { after, afterAll, type Answer } from "../Answer.ts"
import { failureOf } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// OffsetFetch 1-9: what was asked for or all (v2), of several groups (v8). An offset that was never committed is -1 without an error.
// Without transactions every offset is stable. Left out: the members and epochs of KIP-848 groups (v9).

const needs = { Group: ["Describe"], Topic: ["Describe"] } as const

type Context = ContextOf<typeof needs>
type AskedTopics = ReadonlyArray<{ readonly name: string; readonly partitionIndexes: ReadonlyArray<number> }> | null

interface FetchedGroup {
  readonly groupId: string
  readonly errorCode: number
  readonly topics: ReadonlyArray<{ readonly name: string; readonly partitions: ReadonlyArray<FetchedPartition> }>
}

interface FetchedPartition {
  readonly partitionIndex: number
  readonly committedOffset: number
  readonly committedLeaderEpoch: number
  readonly metadata: string | null
  readonly errorCode: number
}

const partitionsOf = (context: Context, topics: AskedTopics): ReadonlyArray<TopicPartition> | null => {
  if (topics === null) return null
  return topics.flatMap(({ name, partitionIndexes }) => {
    // Nothing was ever committed under the zero id: a stream that does not exist is answered like one never read.
    const stream = context.topic("Describe", name)
    const topicId = isFailure(stream) ? zeroUuid : stream.topicId
    return partitionIndexes.map((partition) => ({ topicId, partition }))
  })
}

const fetchedPartition = (
  { partition, offset, leaderEpoch, metadata }: CommittedOffset,
  errorCode: number
): FetchedPartition => ({
  partitionIndex: partition,
  committedOffset: offset,
  committedLeaderEpoch: leaderEpoch,
  metadata,
  errorCode
})

/** A topic that the client may not describe is answered like one that was never read, with the error. */
const inOrderAsked = (context: Context, topics: NonNullable<AskedTopics>, offsets: ReadonlyArray<CommittedOffset>) => {
  let at = 0
  return topics.map(({ name, partitionIndexes }) => {
    const stream = context.topic("Describe", name)
    const isDenied = isFailure(stream) && stream.code === KafkaError.TOPIC_AUTHORIZATION_FAILED
    const errorCode = isDenied ? stream.code : KafkaError.NONE
    const own = offsets.slice(at, at + partitionIndexes.length)
    const partitions = own.map((committed) => fetchedPartition(committed, errorCode))
    at += partitionIndexes.length
    return { name, partitions }
  })
}

/** Offsets of streams that are gone, or that the client may not describe, are left out. */
const byStream = (context: Context, offsets: ReadonlyArray<CommittedOffset>) => {
  const partitions = new Map<string, Array<FetchedPartition>>()
  for (const committed of offsets) {
    const stream = context.topicById("Describe", committed.topicId)
    if (isFailure(stream)) continue
    const { name } = stream
    const known = partitions.get(name)
    if (known === undefined) partitions.set(name, [fetchedPartition(committed, KafkaError.NONE)])
    else known.push(fetchedPartition(committed, KafkaError.NONE))
  }
  return Array.from(partitions, ([name, fetched]) => ({ name, partitions: fetched }))
}

const fetchGroup = (context: Context, groupId: string, topics: AskedTopics): Answer<FetchedGroup> => {
  const invalid = groupIdError(groupId)
  if (invalid !== KafkaError.NONE) return { groupId, errorCode: invalid, topics: [] }
  const group = context.group("Describe", groupId)
  if (isFailure(group)) return { groupId, errorCode: group.code, topics: [] }
  const partitions = partitionsOf(context, topics)
  return context.ask(group, { _tag: "FetchOffsets", partitions }, (exit) => {
    if (Exit.isFailure(exit)) {
      // Java clients before 3.9 give up at COORDINATOR_NOT_AVAILABLE here, and look for the coordinator at this.
      const { code } = failureOf(exit.cause, KafkaError.NOT_COORDINATOR)
      return { groupId, errorCode: code, topics: [] }
    }
    const { offsets } = exit.value
    const fetched = topics === null ? byStream(context, offsets) : inOrderAsked(context, topics, offsets)
    return { groupId, errorCode: KafkaError.NONE, topics: fetched }
  })
}

/** v1 has no error of the group: there it stands at every partition. */
const withErrors = ({ errorCode, topics }: FetchedGroup, asked: AskedTopics): FetchedGroup["topics"] => {
  if (errorCode === KafkaError.NONE) return topics
  const failed = { committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode }
  return (asked ?? []).map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, ...failed }))
  }))
}

export const offsetFetchHandler = handler(OffsetFetch, {
  serves: [1, 9],
  needs,
  handle: (context, request, version) => {
    if (version < 8) {
      return after(fetchGroup(context, request.groupId, request.topics), (group) => ({
        topics: withErrors(group, request.topics),
        errorCode: group.errorCode
      }))
    }
    const [asked, violation] = bounded("OffsetFetch", "groups", request.groups)
    const fetched = asked.map(({ groupId, topics }) => fetchGroup(context, groupId, topics))
    return afterAll(fetched, (groups) => new Reply({ groups }, { violation }))
  }
})
