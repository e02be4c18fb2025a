import type { GroupEvent } from "@logbrook/actors/group/GroupProtocol"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { OffsetExpiry } from "./offsetExpiry.ts"

/** Kafka's `offsets.retention.check.interval.ms`: how late the offsets of a group go that were due while one of them was pending. */
const checkIntervalMs = 600_000

/** One group by Kafka's rules, from its journaled events alone. */
export class GroupModel {
  readonly #name: string
  readonly #violated: (message: string) => void
  readonly members = new Set<string>()
  /** Offsets by `<topic id>/<partition>`. */
  readonly offsets = new Map<string, number>()
  /** Of static members that ever were, by member id. */
  readonly instanceIds = new Map<string, string>()
  /** Until when each member must be kept, simulated ms: its session timeout after it sent what was then answered. */
  readonly #livesUntilMs = new Map<string, number>()
  /** The highest offsets that ever were durable, of those that have expired too. */
  readonly highest = new Map<string, number>()
  /** When each offset was committed, and when the last member left, simulated ms. */
  readonly #committedMs = new Map<string, number>()
  #emptyMs = 0
  readonly #expiry: OffsetExpiry
  /** By producer id, the offsets of its transaction that is not over, by `<topic id>/<partition>`. */
  readonly pending = new Map<number, Map<string, number>>()
  /** Transactions with offsets that are over. */
  completions = 0
  /** The offsets that transactions have committed, in their order. */
  readonly ofTransactions: Array<number> = []
  generation = 0
  generationsSoFar = 0
  /** How often the group was forgotten and began again with its generations. */
  life = 0
  deletions = 0

  constructor(name: string, expiry: OffsetExpiry, violated: (message: string) => void) {
    this.#name = name
    this.#expiry = expiry
    this.#violated = violated
  }

  /** The member was answered what it had asked at `sentMs`. */
  heard(memberId: string, sentMs: number, sessionTimeoutMs: number): void {
    this.#livesUntilMs.set(memberId, sentMs + sessionTimeoutMs)
  }

  apply(event: GroupEvent, seq: Seq, nowMs: number): void {
    switch (event._tag) {
      case "MemberJoined":
        this.members.add(event.memberId)
        if (event.groupInstanceId !== null) this.instanceIds.set(event.memberId, event.groupInstanceId)
        return
      case "MemberReplaced":
        this.instanceIds.set(event.memberId, event.groupInstanceId)
        this.members.delete(event.fencedMemberId)
        this.members.add(event.memberId)
        return
      case "MemberLeft":
        if (!this.members.delete(event.memberId)) this.#wrong(seq, `${event.memberId} leaves without being there`)
        if (this.members.size === 0) this.#emptyMs = nowMs
        if (event.reason === "session expired" && nowMs < (this.#livesUntilMs.get(event.memberId) ?? 0)) {
          this.#wrong(seq, `${event.memberId} expires though it was heard within its timeout`)
        }
        return
      case "RebalanceCompleted":
        this.#completed(event, seq)
        return
      case "AssignmentStored":
        this.#assigned(event, seq)
        return
      case "OffsetsCommitted":
        this.#committed(event, seq, nowMs)
        return
      case "PendingOffsetsAdded":
        this.#pendingAdded(event)
        return
      case "PendingOffsetsCompleted":
        this.#pendingCompleted(event, nowMs)
        return
      case "OffsetsExpired":
        for (const { topicId, partition, offset } of event.offsets) {
          this.#expired(`${topicId}/${partition}`, offset, seq, nowMs)
        }
        return
      case "OffsetsForgotten":
        for (const key of this.offsets.keys()) {
          if (event.topicIds.includes(key.slice(0, key.indexOf("/")))) this.offsets.delete(key)
        }
        return
      case "GroupDeleted":
        if (this.members.size > 0) this.#wrong(seq, "it is deleted though it has members")
        this.offsets.clear()
        this.deletions++
        return
      default:
    }
  }

  #wrong(seq: Seq, message: string): void {
    this.#violated(`group ${this.#name} at seq ${seq}: ${message}`)
  }

  #completed({ generation, leader }: Extract<GroupEvent, { _tag: "RebalanceCompleted" }>, seq: Seq): void {
    // A group with nothing to remember is forgotten, and begins again.
    const isNew = generation === 1 && this.offsets.size === 0
    if (generation <= this.generation && !isNew) this.#wrong(seq, `generation ${generation} after ${this.generation}`)
    if (leader === null ? this.members.size > 0 : !this.members.has(leader)) {
      this.#wrong(seq, `the leader ${leader} is none of the members`)
    }
    if (generation <= this.generation) this.life++
    this.generation = generation
    this.generationsSoFar++
  }

  #assigned({ generation, assignments }: Extract<GroupEvent, { _tag: "AssignmentStored" }>, seq: Seq): void {
    if (generation !== this.generation) this.#wrong(seq, `an assignment of generation ${generation}`)
    for (const { memberId } of assignments) {
      if (!this.members.has(memberId)) this.#wrong(seq, `an assignment to ${memberId}, which is no member`)
    }
  }

  #pendingAdded({ producerId, offsets }: Extract<GroupEvent, { _tag: "PendingOffsetsAdded" }>): void {
    const own = this.pending.get(producerId) ?? new Map<string, number>()
    this.pending.set(producerId, own)
    for (const { topicId, partition, offset } of offsets) own.set(`${topicId}/${partition}`, offset)
  }

  /** The simulated transactions are the only ones that commit offsets of their groups. */
  #pendingCompleted(
    { producerId, outcome }: Extract<GroupEvent, { _tag: "PendingOffsetsCompleted" }>,
    nowMs: number
  ): void {
    const own = this.pending.get(producerId) ?? []
    this.pending.delete(producerId)
    this.completions++
    if (outcome === "abort") return
    for (const [key, offset] of own) {
      this.offsets.set(key, offset)
      this.#committedMs.set(key, nowMs)
      this.ofTransactions.push(offset)
    }
  }

  /** The offsets of a partition that transactions may commit. */
  pendingOffsetsOf(key: string): ReadonlyArray<number> {
    return [...this.pending.values()].flatMap((own) => own.get(key) ?? [])
  }

  /** How long nobody has used an offset. */
  #unusedMs(key: string, nowMs: number): number {
    return nowMs - Math.max(this.#committedMs.get(key) ?? 0, this.#emptyMs)
  }

  #expired(key: string, offset: number, seq: Seq, nowMs: number): void {
    const { retentionMs, slackMs } = this.#expiry
    if (this.offsets.get(key) !== offset) this.#wrong(seq, `${offset} of ${key} expires, which is not there`)
    // The simulated members do not say what they subscribe to.
    if (this.members.size > 0) this.#wrong(seq, `the offset of ${key} expires though the group has members`)
    if (this.pendingOffsetsOf(key).length > 0) this.#wrong(seq, `${key} expires while a transaction may commit it`)
    const unusedMs = this.#unusedMs(key, nowMs)
    if (unusedMs < retentionMs - slackMs) this.#wrong(seq, `the offset of ${key} expires after ${unusedMs} ms`)
    this.offsets.delete(key)
  }

  /** At the end: nothing is kept that should have expired. */
  checkOffsets(nowMs: number): void {
    const { retentionMs, slackMs } = this.#expiry
    if (this.members.size > 0) return
    const lateMs = this.completions > 0 ? checkIntervalMs : 0
    for (const key of this.offsets.keys()) {
      const unusedMs = this.#unusedMs(key, nowMs)
      if (unusedMs <= retentionMs + slackMs + lateMs) continue
      this.#violated(`group ${this.#name}: the offset of ${key} is there after ${unusedMs} ms`)
    }
  }

  #committed(event: Extract<GroupEvent, { _tag: "OffsetsCommitted" }>, seq: Seq, nowMs: number): void {
    const { memberId, generation, offsets } = event
    if (generation >= 0) {
      if (generation !== this.generation) this.#wrong(seq, `a commit of generation ${generation} is accepted`)
      if (!this.members.has(memberId)) this.#wrong(seq, `a commit of ${memberId} is accepted, which is no member`)
    }
    for (const { topicId, partition, offset } of offsets) {
      const key = `${topicId}/${partition}`
      const before = this.offsets.get(key) ?? -1
      // The simulated clients never commit less than they were told.
      if (offset < before) this.#wrong(seq, `the offset of ${key} goes back from ${before} to ${offset}`)
      this.offsets.set(key, offset)
      this.highest.set(key, Math.max(offset, this.highest.get(key) ?? -1))
      this.#committedMs.set(key, nowMs)
    }
  }
}
