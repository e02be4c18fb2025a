import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { LeaveGroup } from "@logbrook/protocols/kafka/messages/13_LeaveGroup"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import type { ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { CliError, exitCodes, type ExitCode } from "../CliError.ts"
import {
  assignRanges,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription
} from "./consumerProtocol.ts"
import type { KafkaConnection } from "./KafkaConnection.ts"
import { type KafkaClient, nameOf, type TopicPartition } from "./KafkaClient.ts"
import { throwUnlessNone } from "./kafkaErrors.ts"
import { PartitionReader, type Fetched, type Reading } from "./PartitionReader.ts"

// The newest versions before fields that nothing here has.
const versions = { join: 5, sync: 3, heartbeat: 3, leave: 2, commit: 7, fetch: 5 } as const
const protocolType = "consumer"
const protocolName = "range"
const sessionTimeoutMs = 30_000
const rebalanceTimeoutMs = 60_000
const heartbeatMs = 3_000

/** The member has to join again, and what it had read is the group's to give. */
const lostCodes: ReadonlySet<number> = new Set([
  KafkaError.REBALANCE_IN_PROGRESS,
  KafkaError.ILLEGAL_GENERATION,
  KafkaError.UNKNOWN_MEMBER_ID
])

/** A topic is unknown, not this client's to know of, or no topic at all. */
const noTopic: ReadonlySet<ExitCode> = new Set([exitCodes.notFound, exitCodes.denied, exitCodes.usage])

/** A member of a consumer group (KIP-62): reads the partitions that it is given, and commits what was taken. */
export class GroupConsumer {
  readonly #client: KafkaClient
  readonly #group: string
  readonly #reading: Reading
  readonly #reader: PartitionReader
  #coordinator: KafkaConnection | undefined
  #topics: ReadonlyArray<string> = []
  #memberId = ""
  /** -1: it is no member, or is joining. */
  #generation = -1
  #hasEnded = false
  #heartbeatDueMs = 0
  #beats: NodeJS.Timeout | undefined
  #committed: ReadonlyMap<string, number> = new Map()

  constructor(client: KafkaClient, reading: Reading, group: string) {
    this.#client = client
    this.#group = group
    this.#reading = reading
    this.#reader = new PartitionReader(client, reading)
  }

  async begin(topics: ReadonlyArray<string>): Promise<void> {
    this.#topics = topics
    for (const topic of topics) await this.#client.partitionsOf(topic)
    this.#coordinator = await this.#client.coordinatorOf(this.#group)
    await this.#join()
  }

  /** As `PartitionReader.next`; what was taken of the last answer is committed. */
  async next(): Promise<ReadonlyArray<Fetched> | undefined> {
    if (!(await this.#isMember())) await this.#join()
    return this.#reader.next()
  }

  /**
   * Settles as `waited` does. Meanwhile the group gets signs of life, but this member takes part in no rebalance: the group goes on
   * without it once its rebalance timeout is over.
   */
  async aliveDuring<A>(waited: Promise<A>): Promise<A> {
    // Whatever is wrong with the group or the connection is told by the next request.
    this.#beats = setInterval(() => void this.#heartbeat().catch(() => undefined), heartbeatMs)
    try {
      return await waited
    } finally {
      clearInterval(this.#beats)
    }
  }

  /** Commits, and leaves the group: the others need not wait for the session to expire. */
  async end(): Promise<void> {
    this.#hasEnded = true
    clearInterval(this.#beats)
    if (this.#coordinator === undefined || this.#memberId === "") return
    if (this.#generation >= 0) {
      await this.#commit()
      return this.#leave(this.#coordinator)
    }
    // Kafka reads no request behind one that it has not answered, as it may not have answered that to join.
    const another = await this.#coordinator.another()
    try {
      await this.#leave(another)
    } finally {
      another.close()
    }
  }

  async #leave(coordinator: KafkaConnection): Promise<void> {
    const request = { groupId: this.#group, memberId: this.#memberId }
    const { errorCode } = await coordinator.request(LeaveGroup, versions.leave, request)
    if (!lostCodes.has(errorCode)) throwUnlessNone(`group ${this.#group}`, errorCode)
  }

  /** Whether the group still counts on this member, after a commit or, now and then, a heartbeat. */
  async #isMember(): Promise<boolean> {
    if (!(await this.#commit())) return false
    if (performance.now() < this.#heartbeatDueMs) return true
    this.#heartbeatDueMs = performance.now() + heartbeatMs
    return this.#isAccepted(await this.#heartbeat())
  }

  async #heartbeat(): Promise<number> {
    const request = { groupId: this.#group, generationId: this.#generation, memberId: this.#memberId }
    const { errorCode } = await this.#coordinator!.request(Heartbeat, versions.heartbeat, request)
    return errorCode
  }

  #isAccepted(errorCode: number): boolean {
    if (!lostCodes.has(errorCode)) {
      throwUnlessNone(`group ${this.#group}`, errorCode)
      return true
    }
    if (errorCode === KafkaError.UNKNOWN_MEMBER_ID) this.#memberId = ""
    return false
  }

  /** The positions that have moved on. False: they are not this member's to commit. */
  async #commit(): Promise<boolean> {
    const moved = this.#reader.positions.filter((each) => this.#committed.get(nameOf(each)) !== each.offset)
    if (moved.length === 0) return true
    const topics = Array.from(
      Map.groupBy(moved, ({ topic }) => topic),
      ([name, own]) => ({
        name,
        partitions: own.map(({ partition, offset }) => ({
          partitionIndex: partition,
          committedOffset: offset,
          committedMetadata: ""
        }))
      })
    )
    const member = { groupId: this.#group, generationIdOrMemberEpoch: this.#generation, memberId: this.#memberId }
    const answer = await this.#coordinator!.request(OffsetCommit, versions.commit, { ...member, topics })
    const codes = answer.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
    // A commit counts as the group's sign of life, and is taken while the others join.
    const refused = codes.find((code) => code !== KafkaError.NONE && code !== KafkaError.REBALANCE_IN_PROGRESS)
    if (refused !== undefined && !this.#isAccepted(refused)) return false
    this.#committed = new Map([...this.#committed, ...moved.map((each) => [nameOf(each), each.offset] as const)])
    return !codes.includes(KafkaError.REBALANCE_IN_PROGRESS)
  }

  /** Joins until the group is complete with this member, and reads what it is given. */
  async #join(): Promise<void> {
    // What was read is committed. The answer may take until the others have joined: an end does not wait for it.
    this.#generation = -1
    while (!this.#hasEnded) {
      const joined = await this.#askToJoin()
      if (joined.errorCode === KafkaError.MEMBER_ID_REQUIRED) {
        this.#memberId = joined.memberId
        continue
      }
      if (!this.#isAccepted(joined.errorCode)) continue
      this.#memberId = joined.memberId
      const places = await this.#sync(joined)
      if (places === undefined) continue
      this.#heartbeatDueMs = performance.now() + heartbeatMs
      const positions = await this.#positionsOf(places)
      this.#committed = positions
      await this.#reader.assign(places, positions)
      // Only now: before, the positions were those of the generation that is over.
      this.#generation = joined.generationId
      const given = places.length === 0 ? "no partition" : places.map(nameOf).join(" ")
      this.#reading.note(`${this.#group} gives this member ${given}`)
      return
    }
  }

  #askToJoin(): Promise<ResponseOf<typeof JoinGroup>> {
    return this.#coordinator!.request(
      JoinGroup,
      versions.join,
      {
        groupId: this.#group,
        sessionTimeoutMs,
        rebalanceTimeoutMs,
        memberId: this.#memberId,
        protocolType,
        protocols: [{ name: protocolName, metadata: encodeSubscription(this.#topics) }]
      },
      rebalanceTimeoutMs
    )
  }

  /** Undefined: the group changed meanwhile. */
  async #sync(joined: ResponseOf<typeof JoinGroup>): Promise<ReadonlyArray<TopicPartition> | undefined> {
    const assignments = joined.leader === joined.memberId ? await this.#assign(joined) : []
    const request = { groupId: this.#group, generationId: joined.generationId, memberId: this.#memberId, assignments }
    const synced = await this.#coordinator!.request(SyncGroup, versions.sync, request, rebalanceTimeoutMs)
    return this.#isAccepted(synced.errorCode) ? decodeAssignment(synced.assignment) : undefined
  }

  async #assign({ members }: ResponseOf<typeof JoinGroup>) {
    const subscribers = members.map(({ memberId, metadata }) => ({ memberId, topics: decodeSubscription(metadata) }))
    const counts = new Map<string, number>()
    for (const topic of new Set(subscribers.flatMap(({ topics }) => topics))) {
      counts.set(topic, await this.#countOf(topic))
    }
    const given = assignRanges(subscribers, counts)
    return Array.from(given, ([memberId, places]) => ({ memberId, assignment: encodeAssignment(places) }))
  }

  /** Nothing is given of a topic that is not there: that another member waits for it ends nobody. */
  async #countOf(topic: string): Promise<number> {
    try {
      return await this.#client.partitionsOf(topic)
    } catch (error) {
      if (error instanceof CliError && noTopic.has(error.exitCode)) return 0
      throw error
    }
  }

  /** The committed offsets of partitions that have one. */
  async #positionsOf(places: ReadonlyArray<TopicPartition>): Promise<ReadonlyMap<string, number>> {
    if (places.length === 0) return new Map()
    const topics = Array.from(
      Map.groupBy(places, ({ topic }) => topic),
      ([name, own]) => ({ name, partitionIndexes: own.map(({ partition }) => partition) })
    )
    const answer = await this.#coordinator!.request(OffsetFetch, versions.fetch, { groupId: this.#group, topics })
    throwUnlessNone(`group ${this.#group}`, answer.errorCode)
    const found = new Map<string, number>()
    for (const { name, partitions } of answer.topics) {
      for (const { partitionIndex, committedOffset, errorCode } of partitions) {
        throwUnlessNone(`group ${this.#group}`, errorCode)
        if (committedOffset >= 0) found.set(nameOf({ topic: name, partition: partitionIndex }), committedOffset)
      }
    }
    return found
  }
}
