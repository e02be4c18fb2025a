import type { Model } from "../Model.ts"

export type Partitions = ReadonlyArray<readonly [stream: string, partition: number]>

interface Generation {
  /** Members by their lasting name: the instance id, if there is one. */
  readonly assignments: Map<string, Partitions>
  leader: string | undefined
}

const generationsMax = 1_000_000

/** What group members know together: who leads, who has which partitions, and what has been processed. */
export class GroupLedger {
  readonly #model: Model
  readonly #violated: (message: string) => never
  readonly #generations = new Map<string, Generation>()
  readonly #processed = new Map<string, Set<number>>()
  /** Committed and acknowledged, by `<group> <stream>/<partition>`. */
  readonly #committed = new Map<string, number>()

  /** Of each partition, who was given it last, by `<group> <stream>/<partition>`. */
  readonly #owners = new Map<string, { readonly member: string; readonly order: number }>()
  /** Of each member id, the order of the generation that it was last given partitions in. */
  readonly #syncedIn = new Map<string, number>()

  constructor(model: Model, violated: (message: string) => never) {
    this.#model = model
    this.#violated = violated
  }

  /** A group that is forgotten begins again with generation 1, and not with an older generation's leader. */
  #order(group: string, generation: number): number {
    return (this.#model.groups.get(group)?.life ?? 0) * generationsMax + generation
  }

  #generation(group: string, generation: number): Generation {
    const key = `${group} ${this.#order(group, generation)}`
    let known = this.#generations.get(key)
    if (known === undefined) {
      known = { assignments: new Map(), leader: undefined }
      this.#generations.set(key, known)
    }
    return known
  }

  #lasting(group: string, memberId: string): string {
    return this.#model.groups.get(group)?.instanceIds.get(memberId) ?? memberId
  }

  /** JoinGroup was answered. */
  joined(group: string, generation: number, leader: string): void {
    const known = this.#generation(group, generation)
    const name = this.#lasting(group, leader)
    if (known.leader !== undefined && known.leader !== name) {
      this.#violated(`generation ${generation} of ${group} has two leaders, ${known.leader} and ${name}`)
    }
    known.leader = name
  }

  /** The leader's work: every partition to one of the members, whose order is the same for everybody. */
  assign(
    group: string,
    generation: number,
    memberIds: ReadonlyArray<string>,
    all: Partitions
  ): Map<string, Partitions> {
    const sorted = memberIds.toSorted()
    const assigned = new Map<string, Partitions>()
    sorted.forEach((memberId, i) =>
      assigned.set(
        memberId,
        all.filter((_, at) => at % sorted.length === i)
      )
    )
    const { assignments } = this.#generation(group, generation)
    if (assignments.size === 0) {
      for (const [memberId, partitions] of assigned) assignments.set(this.#lasting(group, memberId), partitions)
    }
    return assigned
  }

  /** SyncGroup was answered: with what the leader of this generation has decided, whoever asks. */
  synced(group: string, generation: number, memberId: string, partitions: Partitions): void {
    const { assignments } = this.#generation(group, generation)
    const expected = JSON.stringify(assignments.get(this.#lasting(group, memberId)) ?? [])
    if (expected === JSON.stringify(partitions)) return this.#own(group, generation, memberId, partitions)
    return this.#violated(
      `${memberId} is given ${JSON.stringify(partitions)} in generation ${generation} of ${group}, not ${expected}`
    )
  }

  #own(group: string, generation: number, memberId: string, partitions: Partitions): void {
    const member = this.#lasting(group, memberId)
    const order = this.#order(group, generation)
    this.#syncedIn.set(memberId, order)
    for (const [stream, partition] of partitions) {
      const key = `${group} ${stream}/${partition}`
      if ((this.#owners.get(key)?.order ?? 0) <= order) this.#owners.set(key, { member, order })
    }
  }

  /**
   * A member that cannot join again was refused, and not told that it is none any more: then it keeps these partitions of an
   * earlier generation, which nobody else may have.
   */
  refused(group: string, memberId: string, partitions: Partitions): void {
    const order = this.#syncedIn.get(memberId) ?? 0
    for (const [stream, partition] of partitions) {
      const owner = this.#owners.get(`${group} ${stream}/${partition}`)
      if (owner === undefined || owner.order <= order || owner.member === this.#lasting(group, memberId)) continue
      this.#violated(`${memberId} cannot join ${group} and keeps ${stream}/${partition}, which ${owner.member} has now`)
    }
  }

  // --- Offsets ---

  processed(group: string, stream: string, partition: number, offset: number): void {
    const key = `${group} ${stream}/${partition}`
    const known = this.#processed.get(key)
    if (known === undefined) this.#processed.set(key, new Set([offset]))
    else known.add(offset)
  }

  /** OffsetCommit was acknowledged. */
  committed(group: string, stream: string, partition: number, offset: number): void {
    const key = `${group} ${stream}/${partition}`
    const highest = this.#model.groups.get(group)?.highest.get(this.#offsetKey(stream, partition)) ?? -1
    if (highest < offset) this.#violated(`${group} has ${offset} of ${stream}/${partition} acknowledged, not durable`)
    this.#committed.set(key, Math.max(offset, this.#committed.get(key) ?? -1))
  }

  #offsetKey(stream: string, partition: number): string {
    return `${this.#model.streams.get(stream)?.topicId}/${partition}`
  }

  /** One that was acknowledged, and so was durable, and is not there any more has expired. */
  #isThere(group: string, stream: string, partition: number): boolean {
    return this.#model.groups.get(group)?.offsets.has(this.#offsetKey(stream, partition)) === true
  }

  /** OffsetFetch, asked for after `known` had been acknowledged. */
  fetched(group: string, stream: string, partition: number, offset: number, known: number): void {
    if (offset >= Math.min(known, this.committedOf(group, stream, partition))) return
    this.#violated(`${group} is told offset ${offset} of ${stream}/${partition}, though ${known} was committed`)
  }

  committedOf(group: string, stream: string, partition: number): number {
    const key = `${group} ${stream}/${partition}`
    if (!this.#isThere(group, stream, partition)) this.#committed.delete(key)
    return this.#committed.get(key) ?? -1
  }

  /** At the end: somebody has processed every record that retention has left. */
  check(group: string, stream: string, partition: number): void {
    const log = this.#model.logOf(stream, partition)
    const processed = this.#processed.get(`${group} ${stream}/${partition}`) ?? new Set()
    for (let offset = log?.startOffset ?? 0; offset < (log?.nextOffset ?? 0); offset++) {
      if (!processed.has(offset)) this.#violated(`${group} has passed over ${stream}/${partition}:${offset}`)
    }
  }
}
