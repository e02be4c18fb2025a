import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { LeaveGroup } from "@logbrook/protocols/kafka/messages/13_LeaveGroup"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import type { ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { memberMetadataBytesMax, type MemberPlan } from "../Plan.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import type { Partitions } from "./GroupLedger.ts"
import { type FetchedPartition, fetch, KafkaPeer } from "./KafkaPeer.ts"

type Joined = ResponseOf<typeof JoinGroup>

const timeoutMs = 8000
const rebalanceTimeoutMs = 6000
const heartbeatMs = 1200
const retryMsMax = 600
const fetchWaitMs = 1500
const fetchVersion = 12
const protocol = "simulated"
const protocolType = "consumer"

/** A consumer of a classic group: joins, syncs, reads, commits, leaves, crashes and comes back. */
export class Member implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: MemberPlan
  readonly #random: Random
  /** Connections of one life. */
  #coordinator: KafkaPeer
  #reader: KafkaPeer
  #lives = 0
  /** Raised with each life and each join: what belongs to an earlier one is dropped. */
  #round = 0
  #memberId = ""
  #generation = -1
  #positions = new Map<string, number>()
  #isStable = false
  /** What it takes for its own until it is told otherwise, as cooperative consumers do while they join again. */
  #owned: Partitions = []
  /** Its metadata has grown beyond what the server takes, and shrinks once it has no partitions to tell of. */
  #isTooLarge = false
  readonly #growth: Random

  constructor(world: World, plan: MemberPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#random = world.random(plan.name)
    this.#growth = world.random(`${plan.name}/growth`)
    this.#coordinator = new KafkaPeer(world, `${plan.name}/0`)
    this.#reader = this.#coordinator
  }

  start(): void {
    this.#world.scheduler.after(this.#random.between(0, 1500) * 1000, () => this.#live())
  }

  #live(): void {
    const life = ++this.#lives
    this.#lose()
    this.#generation = -1
    this.#coordinator = new KafkaPeer(this.#world, `${this.name}/${life}`)
    this.#reader = new KafkaPeer(this.#world, `${this.name}/${life}/reader`)
    this.#join()
    this.#beat(life)
    const { staysMs } = this.#plan
    if (staysMs === 0) return
    this.#world.scheduler.after(this.#random.between(staysMs, 2 * staysMs) * 1000, () => {
      if (!this.#world.isHealed && life === this.#lives) this.#goAway()
    })
  }

  /** Leaves in order, or is gone without a word; comes back after a while. */
  #goAway(): void {
    this.#world.trace(`${this.name} goes away`)
    this.#round++
    this.#lives++
    this.#isStable = false
    if (this.#random.chance(0.5)) this.#leaveGroup()
    else this.#coordinator.close()
    this.#reader.close()
    this.#world.scheduler.after(this.#random.tail(100, 10_000) * 1000, () => this.#live())
  }

  #leaveGroup(): void {
    const peer = this.#coordinator
    const { group, instanceId: groupInstanceId } = this.#plan
    const request = { groupId: group, members: [{ memberId: this.#memberId, groupInstanceId, reason: "done" }] }
    const memberId = this.#memberId
    const generation = this.#generation
    peer.request(LeaveGroup, 4, request, timeoutMs, (response) => {
      // Without a generation it would be the commit of a simple consumer, which a group without members takes.
      if (response?.members[0]?.errorCode !== KafkaError.NONE || generation < 0) return peer.close()
      return this.#commitLate(peer, memberId, generation, () => peer.close())
    })
  }

  /** A commit of a life that is over, of nothing new: it must be refused, or the next one could be overwritten. */
  #commitLate(peer: KafkaPeer, memberId: string, generation: number, then: () => void): void {
    const { group, instanceId, streams } = this.#plan
    const partition = { partitionIndex: 0, committedOffset: 0, committedMetadata: "late" }
    const request = {
      groupId: group,
      generationIdOrMemberEpoch: generation,
      memberId,
      groupInstanceId: instanceId,
      topics: [{ name: streams[0]!, partitions: [partition] }]
    }
    peer.request(OffsetCommit, 7, request, timeoutMs, (response) => {
      if (response?.topics[0]?.partitions[0]?.errorCode !== KafkaError.NONE) return then()
      return this.#world.violated(
        `a commit of ${memberId} in generation ${generation} of ${group} is accepted, which is over`
      )
    })
  }

  leave(): void {
    this.#round++
    this.#lives++
    this.#leaveGroup()
    this.#reader.close()
  }

  /** It must have a place in a generation, and the group must have read all there is. */
  waitsFor(): string | undefined {
    if (!this.#isStable) return `${this.name} is not in a generation`
    // Whoever has it: it may have been given to a member that is none any more, and comes back after its timeout.
    for (const [stream, partition] of this.#allPartitions()) {
      const end = this.#world.model.logOf(stream, partition)!.nextOffset
      const committed = this.#world.groups.committedOf(this.#plan.group, stream, partition)
      if (committed < end && end > 0)
        return `${this.#plan.group} has committed ${committed} of ${stream}/${partition}:${end}`
    }
    return undefined
  }

  // --- Generations ---

  #lose(): void {
    this.#memberId = ""
    this.#owned = []
    this.#isTooLarge = false
  }

  #again(round: number): void {
    if (round !== this.#round) return
    this.#isStable = false
    this.#round++
    const next = this.#round
    this.#world.scheduler.after(this.#random.tail(10, retryMsMax) * 1000, () => {
      if (next === this.#round) this.#join()
    })
  }

  #join(): void {
    const round = ++this.#round
    this.#isStable = false
    const { group, instanceId, joinVersion, sessionTimeoutMs, streams } = this.#plan
    if (this.#owned.length > 0 && !this.#world.isHealed && this.#growth.chance(0.4)) this.#isTooLarge = true
    const metadata = Buffer.from(streams.join(",").padEnd(this.#isTooLarge ? memberMetadataBytesMax + 1 : 0))
    const request = {
      groupId: group,
      sessionTimeoutMs,
      rebalanceTimeoutMs,
      memberId: this.#memberId,
      groupInstanceId: instanceId,
      protocolType,
      protocols: [{ name: protocol, metadata }],
      reason: null
    }
    this.#world.trace(`${this.name} joins as ${this.#memberId}`)
    this.#coordinator.request(JoinGroup, joinVersion, request, rebalanceTimeoutMs + timeoutMs, (response) => {
      if (round !== this.#round) return
      if (response === undefined) return this.#again(round)
      this.#world.trace(`${this.name} joined: ${response.errorCode} ${response.memberId} ${response.generationId}`)
      if (response.errorCode !== KafkaError.NONE) return this.#refused(round, response.errorCode, response.memberId)
      return this.#joined(round, response)
    })
  }

  /** What a refusal means for a member, as Kafka's Java client takes it. */
  #refused(round: number, errorCode: number, memberId = this.#memberId): void {
    if (errorCode === KafkaError.MEMBER_ID_REQUIRED) this.#memberId = memberId
    else if (errorCode === KafkaError.UNKNOWN_MEMBER_ID || errorCode === KafkaError.FENCED_INSTANCE_ID) {
      this.#lose()
    } else if (!retriable.has(errorCode)) {
      this.#world.groups.refused(this.#plan.group, this.#memberId, this.#owned)
      if (!this.#isTooLarge) this.#world.violated(`${this.name} is answered ${errorCode} by its group's coordinator`)
    }
    this.#again(round)
  }

  #joined(round: number, joined: Joined): void {
    const { group, instanceId } = this.#plan
    const before = this.#generation
    if (before > 0 && before < joined.generationId && this.#random.chance(0.3)) {
      this.#commitLate(this.#reader, joined.memberId, before, () => undefined)
    }
    this.#memberId = joined.memberId
    this.#generation = joined.generationId
    this.#world.groups.joined(group, joined.generationId, joined.leader)
    const leads = joined.leader === joined.memberId && !joined.skipAssignment
    if (!leads && joined.members.length > 0 && !joined.skipAssignment) {
      this.#world.violated(`${this.name} is told the members of ${group} and does not lead it`)
    }
    const memberIds = joined.members.map(({ memberId }) => memberId)
    const assigned = leads
      ? this.#world.groups.assign(group, joined.generationId, memberIds, this.#allPartitions())
      : new Map<string, Partitions>()
    const assignments = Array.from(assigned, ([memberId, partitions]) => ({
      memberId,
      assignment: Buffer.from(JSON.stringify(partitions))
    }))
    const request = {
      groupId: group,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupInstanceId: instanceId,
      protocolType,
      protocolName: protocol,
      assignments
    }
    this.#coordinator.request(SyncGroup, 5, request, rebalanceTimeoutMs + timeoutMs, (response) => {
      if (round !== this.#round) return
      if (response === undefined) return this.#again(round)
      this.#world.trace(`${this.name} synced: ${response.errorCode}`)
      if (response.errorCode !== KafkaError.NONE) return this.#refused(round, response.errorCode)
      const partitions = JSON.parse(Buffer.from(response.assignment).toString() || "[]") as Partitions
      this.#world.groups.synced(group, joined.generationId, joined.memberId, partitions)
      this.#owned = partitions
      return this.#begin(round, partitions)
    })
  }

  #allPartitions(): Partitions {
    return this.#plan.streams.flatMap((stream) =>
      this.#world.model.streams.get(stream)!.logIds.map((_, partition) => [stream, partition] as const)
    )
  }

  #beat(life: number): void {
    this.#world.scheduler.after(heartbeatMs * 1000, () => {
      if (life !== this.#lives) return
      this.#beat(life)
      const round = this.#round
      if (!this.#isStable || !this.#coordinator.isIdle) return
      const { group: groupId, instanceId: groupInstanceId, sessionTimeoutMs } = this.#plan
      const sentMs = this.#world.scheduler.elapsedMs
      const request = { groupId, generationId: this.#generation, memberId: this.#memberId, groupInstanceId }
      this.#coordinator.request(Heartbeat, 4, request, timeoutMs, (response) => {
        if (response?.errorCode === KafkaError.NONE) {
          this.#world.model.groups.get(groupId)?.heard(request.memberId, sentMs, sessionTimeoutMs)
        }
        if (round !== this.#round || response === undefined || response.errorCode === KafkaError.NONE) return
        this.#refused(round, response.errorCode)
      })
    })
  }

  // --- Reading ---

  #begin(round: number, partitions: Partitions): void {
    const { group } = this.#plan
    this.#positions = new Map()
    if (partitions.length === 0) {
      this.#isStable = true
      return
    }
    const known = partitions.map(([stream, partition]) => this.#world.groups.committedOf(group, stream, partition))
    const topics = partitions.map(([name, partition]) => ({ name, partitionIndexes: [partition] }))
    const request = { groups: [{ groupId: group, topics }] }
    this.#coordinator.request(OffsetFetch, 8, request, timeoutMs, (response) => {
      if (round !== this.#round) return
      const [own] = response?.groups ?? []
      if (own === undefined) return this.#again(round)
      if (own.errorCode !== KafkaError.NONE) return this.#refused(round, own.errorCode)
      own.topics.forEach(({ name, partitions: [only] }, i) => {
        this.#world.groups.fetched(group, name, only!.partitionIndex, only!.committedOffset, known[i]!)
        this.#positions.set(`${name}/${only!.partitionIndex}`, Math.max(0, only!.committedOffset))
      })
      this.#isStable = true
      this.#read(round)
      return undefined
    })
  }

  #read(round: number): void {
    if (round !== this.#round || !this.#isStable) return
    const asked = Array.from(this.#positions, ([key, offset]) => ({ ...parse(key), offset }))
    fetch(
      this.#world,
      this.#reader,
      { version: fetchVersion, waitMs: fetchWaitMs, bytesMax: 20_000, usesSession: this.#plan.usesSession === true },
      asked,
      (fetched) => {
        if (round !== this.#round) return
        if (fetched === undefined) return this.#later(() => this.#read(round))
        for (const each of fetched) this.#process(each)
        const outOfRange = fetched.find(({ errorCode }) => errorCode === KafkaError.OFFSET_OUT_OF_RANGE)
        if (outOfRange !== undefined) return this.#reset(round, outOfRange)
        return this.#commit(round, () => this.#read(round))
      }
    )
  }

  #later(what: () => void): void {
    this.#world.scheduler.after(this.#random.tail(10, retryMsMax) * 1000, what)
  }

  #process({ errorCode, asked, ids }: FetchedPartition): void {
    if (errorCode !== KafkaError.NONE) {
      this.#world.trace(`${this.name} cannot read ${asked.stream}/${asked.partition}: ${errorCode}`)
      return
    }
    ids.forEach((_, i) =>
      this.#world.groups.processed(this.#plan.group, asked.stream, asked.partition, asked.offset + i)
    )
    this.#positions.set(`${asked.stream}/${asked.partition}`, asked.offset + ids.length)
  }

  /** Retention has taken what was to come next. */
  #reset(round: number, { asked: { stream, partition, offset } }: FetchedPartition): void {
    const topics = [{ name: stream, partitions: [{ partitionIndex: partition, timestamp: -2 }] }]
    this.#reader.request(ListOffsets, 5, { replicaId: -1, topics }, timeoutMs, (response) => {
      if (round !== this.#round) return
      const earliest = response?.topics[0]?.partitions[0]
      if (earliest?.errorCode !== KafkaError.NONE) return this.#later(() => this.#read(round))
      if (earliest.offset < offset)
        this.#world.violated(`${stream}/${partition}:${offset} is out of range, yet begins at ${earliest.offset}`)
      this.#positions.set(`${stream}/${partition}`, earliest.offset)
      return this.#read(round)
    })
  }

  #commit(round: number, next: () => void): void {
    const { group, instanceId } = this.#plan
    const positions = [...this.#positions].filter(([key, position]) => {
      const { stream, partition } = parse(key)
      return position > this.#world.groups.committedOf(group, stream, partition)
    })
    if (positions.length === 0) return this.#later(next)
    const request = {
      groupId: group,
      generationIdOrMemberEpoch: this.#generation,
      memberId: this.#memberId,
      groupInstanceId: instanceId,
      topics: positions.map(([key, committedOffset]) => {
        const { stream: name, partition: partitionIndex } = parse(key)
        return { name, partitions: [{ partitionIndex, committedOffset, committedMetadata: "" }] }
      })
    }
    this.#world.trace(`${this.name} commits ${positions.join(" ")}`)
    this.#coordinator.request(OffsetCommit, 7, request, timeoutMs, (response) => {
      if (response === undefined) return this.#later(next)
      const codes = response.topics.map(({ partitions: [only] }) => only!.errorCode)
      positions.forEach(([key, position], i) => {
        const { stream, partition } = parse(key)
        if (codes[i] === KafkaError.NONE) this.#world.groups.committed(group, stream, partition, position)
      })
      const failed = codes.find((code) => code !== KafkaError.NONE)
      if (failed === undefined) return next()
      if (round === this.#round) this.#refused(round, failed)
      return undefined
    })
    return undefined
  }

  /** For the group's end: the streams it reads. */
  check(): void {
    for (const [stream, partition] of this.#allPartitions()) {
      this.#world.groups.check(this.#plan.group, stream, partition)
    }
  }
}

const parse = (key: string): { stream: string; partition: number } => {
  const at = key.lastIndexOf("/")
  return { stream: key.slice(0, at), partition: Number(key.slice(at + 1)) }
}

const retriable: ReadonlySet<number> = new Set([
  KafkaError.REBALANCE_IN_PROGRESS,
  KafkaError.ILLEGAL_GENERATION,
  KafkaError.COORDINATOR_NOT_AVAILABLE,
  KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
  KafkaError.NOT_COORDINATOR
])
