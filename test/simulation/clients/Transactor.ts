import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import { payloadOf } from "../payload.ts"
import type { TransactorPlan } from "../Plan.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"
import { type ProducerIdentity, TransactedOffsets } from "./TransactedOffsets.ts"
import { Zombie } from "./Zombie.ts"

interface Transaction {
  readonly partitions: ReadonlyArray<number>
  readonly wanted: TransactionOutcome
  readonly ids: Array<string>
  /** How it must have ended; "either": the answer to its end never came. */
  outcome: TransactionOutcome | "either"
  batchesLeft: number
  /** The offset that it commits; undefined: none was acknowledged. */
  offset: number | undefined
  readonly begunMs: number
}

interface Batch {
  readonly ids: ReadonlyArray<string>
  readonly data: { readonly index: number; readonly records: Uint8Array }
}

const timeoutMs = 10_000
const timeoutMsByDefault = 60_000
const retryMsMax = 400
const timestampMs = 1_800_000_000_000
/** How often it looks whether its transaction has timed out. */
const looksEveryMs = 500

/**
 * Writes to several partitions at once, in transactions, and begins anew under its transactional id whenever something fails: what is
 * open then is aborted. A transaction ends in all partitions as it was told to, and in the group whose offset it commits. Now and then it leaves
 * one open, until another producer takes its transactional id or the transaction times out: then it is fenced.
 */
export class Transactor implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: TransactorPlan
  readonly #peer: KafkaPeer
  readonly #random: Random
  readonly #transactions: Array<Transaction> = []
  /** The next sequence of each partition, in this epoch. */
  readonly #sequences = new Map<number, number>()
  readonly #offsets: TransactedOffsets
  readonly #zombie: Zombie
  /** Of what came to the plan later. */
  readonly #chances: Random
  /** Replaced by whoever begins next. */
  #replaced: { readonly producer: ProducerIdentity; readonly sequences: ReadonlyMap<number, number> } | undefined
  #producer: ProducerIdentity = { producerId: -1, producerEpoch: -1 }
  #records = 0
  #isOver = false

  constructor(world: World, plan: TransactorPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name)
    this.#random = world.random(`${plan.name}/load`)
    this.#chances = world.random(`${plan.name}/chances`)
    this.#offsets = new TransactedOffsets(world, plan, this.#peer)
    this.#zombie = new Zombie(world, plan)
  }

  start(): void {
    this.#init()
  }

  waitsFor(): string | undefined {
    return this.#isOver ? undefined : `${this.name} has begun ${this.#transactions.length} transactions`
  }

  leave(): void {
    this.#peer.close()
    this.#zombie.leave()
  }

  #later(what: () => void): void {
    this.#world.scheduler.after(this.#random.tail(5, retryMsMax) * 1000, what)
  }

  get #isVersion2(): boolean {
    return this.#plan.version === 2
  }

  #init(): void {
    const transactionTimeoutMs = this.#plan.stalls?.timeoutMs ?? timeoutMsByDefault
    const request = { transactionalId: this.name, transactionTimeoutMs }
    this.#peer.request(InitProducerId, this.#isVersion2 ? 5 : 3, request, timeoutMs, (response) => {
      if (response?.errorCode !== KafkaError.NONE) return this.#later(() => this.#init())
      const { producerId, producerEpoch } = response
      this.#world.trace(`${this.name} goes on as ${producerId} in epoch ${producerEpoch}`)
      this.#afterInit(() => this.#goOn({ producerId, producerEpoch }, true))
    })
  }

  /** The one before tries once more, and the new one asks where to go on. */
  #afterInit(goOn: () => void): void {
    const fetch = (): void => (this.#plan.commitsOffsets === true ? this.#offsets.fetchStable(goOn) : goOn())
    const before = this.#replaced
    this.#replaced = undefined
    if (before === undefined) fetch()
    else this.#zombie.haunt(before.producer, before.sequences, fetch)
  }

  #goOn(producer: ProducerIdentity, isNewEpoch: boolean): void {
    this.#producer = producer
    if (isNewEpoch) this.#sequences.clear()
    if (this.#transactions.length >= this.#plan.transactions) {
      this.#isOver = true
      return
    }
    this.#later(() => this.#begin())
  }

  #begin(): void {
    const transaction: Transaction = {
      partitions: this.#random.pick([[0], [1], [0, 1]]),
      wanted: this.#random.chance(this.#plan.aborts) ? "abort" : "commit",
      ids: [],
      outcome: "abort",
      batchesLeft: this.#random.between(1, 3),
      offset: undefined,
      begunMs: this.#world.scheduler.elapsedMs
    }
    this.#transactions.push(transaction)
    if (this.#isVersion2) this.#produce(transaction)
    else this.#addPartitions(transaction)
  }

  /** What is open is aborted by the next InitProducerId. */
  #fail(what: string, code: number | undefined): void {
    this.#world.trace(`${this.name} fails to ${what}: ${code}`)
    this.#peer.close()
    this.#later(() => this.#init())
  }

  #addPartitions(transaction: Transaction): void {
    const { producerId, producerEpoch } = this.#producer
    const request = {
      v3AndBelowTransactionalId: this.name,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: [{ name: this.#plan.stream, partitions: transaction.partitions }]
    }
    this.#peer.request(AddPartitionsToTxn, 3, request, timeoutMs, (response) => {
      const codes = response?.resultsByTopicV3AndBelow[0]?.resultsByPartition.map((each) => each.partitionErrorCode)
      if (codes?.every((code) => code === KafkaError.NONE) === true) return this.#produce(transaction)
      if (codes?.[0] === KafkaError.CONCURRENT_TRANSACTIONS) {
        return this.#later(() => this.#addPartitions(transaction))
      }
      return this.#fail("add partitions", codes?.[0])
    })
  }

  #batch(partition: number, transaction: Transaction): Batch {
    const builder = new RecordsBuilder(1024 * 1024)
    const baseSequence = this.#sequences.get(partition) ?? 0
    const ids: Array<string> = []
    for (let count = this.#random.between(1, 3); count > 0; count--) {
      const n = this.#records++
      ids.push(`${this.name}:${n}`)
      builder.append(null, payloadOf(this.name, n, this.#plan.bytesMax), noHeaders, timestampMs)
    }
    this.#sequences.set(partition, baseSequence + ids.length)
    transaction.ids.push(...ids)
    const times = { baseTimestampMs: builder.firstTimestampMs, maxTimestampMs: builder.maxTimestampMs }
    const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: ids.length, ...times, ...this.#producer }
    const records = buildBatch({ ...fields, baseSequence, isTransactional: true }, Buffer.from(builder.bytes))
    return { ids, data: { index: partition, records } }
  }

  #produce(transaction: Transaction): void {
    transaction.batchesLeft--
    this.#send(
      transaction,
      transaction.partitions.map((partition) => this.#batch(partition, transaction))
    )
  }

  #send(transaction: Transaction, batches: ReadonlyArray<Batch>): void {
    const { stream } = this.#plan
    const topicData = [{ name: stream, partitionData: batches.map(({ data }) => data) }]
    const request = { transactionalId: this.name, acks: -1, timeoutMs, topicData }
    this.#peer.request(Produce, this.#isVersion2 ? 12 : 9, request, timeoutMs, (response, { durableSeq }) => {
      const found = response?.responses[0]?.partitionResponses
      const codes = found?.map(({ errorCode }) => errorCode)
      if (codes === undefined || codes.some((code) => code !== KafkaError.NONE)) {
        const isForNow = codes?.every((code) => code === KafkaError.CONCURRENT_TRANSACTIONS) === true
        if (isForNow) return this.#later(() => this.#send(transaction, batches))
        if (codes?.includes(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER) === true) {
          this.#world.violated(`${this.name} is refused the next sequence of its partition`)
        }
        return this.#fail(
          "produce",
          codes?.find((code) => code !== KafkaError.NONE)
        )
      }
      for (const [i, { ids, data }] of batches.entries()) {
        this.#stored(ids, data.index, found![i]!.baseOffset, durableSeq)
      }
      if (transaction.batchesLeft > 0) this.#produce(transaction)
      else if (this.#plan.commitsOffsets === true) this.#commitOffset(transaction)
      else this.#finish(transaction)
    })
  }

  #commitOffset(transaction: Transaction): void {
    const offset = this.#transactions.length
    this.#offsets.commit(this.#producer, offset, (code) => {
      const isForNow = code === KafkaError.CONCURRENT_TRANSACTIONS || code === KafkaError.COORDINATOR_LOAD_IN_PROGRESS
      if (isForNow) return this.#later(() => this.#commitOffset(transaction))
      if (code !== KafkaError.NONE) return this.#fail("commit an offset", code)
      transaction.offset = offset
      if (!this.#chances.chance(0.3)) return this.#finish(transaction)
      this.#offsets.fetchStable(() => this.#finish(transaction))
    })
  }

  /** Ends the transaction, or leaves it open. */
  #finish(transaction: Transaction): void {
    const { zombies = 0, stalls } = this.#plan
    if (this.#chances.chance(zombies)) return this.#beReplaced()
    if (stalls !== undefined && this.#chances.chance(stalls.chance)) return this.#stall(transaction)
    this.#end(transaction)
  }

  #asBefore(): { readonly producer: ProducerIdentity; readonly sequences: ReadonlyMap<number, number> } {
    return { producer: this.#producer, sequences: new Map(this.#sequences) }
  }

  /** Another producer begins, which is this one under its new epoch. */
  #beReplaced(): void {
    this.#world.trace(`${this.name} leaves its transaction open, and is replaced`)
    this.#replaced = this.#asBefore()
    this.#peer.close()
    this.#later(() => this.#init())
  }

  /** Nobody asks for anything: the coordinator aborts the transaction by itself. */
  #stall(transaction: Transaction): void {
    this.#world.trace(`${this.name} leaves its transaction open until it times out`)
    const { producer, sequences } = this.#asBefore()
    const look = (): void => {
      const ends = this.#endsOf(transaction)
      if (ends.has(undefined)) return void this.#world.scheduler.after(looksEveryMs * 1000, look)
      this.#timedOut(transaction)
      this.#zombie.haunt(producer, sequences, () => this.#fail("go on", undefined))
    }
    look()
  }

  #timedOut({ ids, begunMs }: Transaction): void {
    const { plan, scheduler } = this.#world
    const tookMs = scheduler.elapsedMs - begunMs
    this.#world.trace(`${this.name} sees that its transaction has timed out`)
    const isClockSet = plan.mishaps.some(({ kind }) => kind === "clockStep")
    if (!isClockSet && tookMs < this.#plan.stalls!.timeoutMs) {
      this.#world.violated(`the transaction of ${ids[0]} has timed out after ${tookMs} ms`)
    }
  }

  /** As the model has it, of each of its records. */
  #endsOf({ ids }: Transaction): ReadonlySet<string | undefined> {
    const { model } = this.#world
    const places = ids.flatMap((id) => model.placesIn(id, this.#plan.stream))
    return new Set(places.map(({ logId, offset }) => model.transactionsOf(logId).outcomeAt(offset)))
  }

  #stored(ids: ReadonlyArray<string>, partition: number, baseOffset: number, durableSeq: number): void {
    const { stream } = this.#plan
    const log = this.#world.model.logOf(stream, partition)!
    ids.forEach((id, i) => {
      const at = baseOffset + i
      if (log.ids[at] !== id) this.#world.violated(`${id} is said to be at ${stream}/${partition}:${at}`)
      if (log.seqs[at]! >= durableSeq) this.#world.violated(`${id} was acknowledged before it was durable`)
    })
  }

  #end(transaction: Transaction): void {
    const { wanted } = transaction
    const committed = wanted === "commit"
    if (committed) transaction.outcome = "either"
    const request = { transactionalId: this.name, ...this.#producer, committed }
    this.#peer.request(EndTxn, this.#isVersion2 ? 5 : 3, request, timeoutMs, (response) => {
      if (response?.errorCode === KafkaError.CONCURRENT_TRANSACTIONS) return this.#later(() => this.#end(transaction))
      if (response?.errorCode !== KafkaError.NONE) return this.#fail("end", response?.errorCode)
      transaction.outcome = wanted
      this.#world.trace(`${this.name} ends ${transaction.ids[0]} with ${wanted}`)
      const { producerId, producerEpoch } = response
      return this.#goOn(this.#isVersion2 ? { producerId, producerEpoch } : this.#producer, this.#isVersion2)
    })
  }

  /** Every transaction has ended in all its partitions, and as its producer was told. */
  check(): void {
    const { model } = this.#world
    const offsets: Array<number> = []
    for (const transaction of this.#transactions) {
      const { ids, outcome, offset } = transaction
      const ends = this.#endsOf(transaction)
      for (const id of ids) {
        const places = model.placesIn(id, this.#plan.stream)
        if (places.length > 1) this.#world.violated(`${id} is stored ${places.length} times`)
        if (places.length === 0 && outcome === "commit") this.#world.violated(`${id} was committed and is not there`)
      }
      const [end] = ends
      if (ends.size > 1) this.#world.violated(`the transaction of ${ids[0]} has ended with ${[...ends].join(" and ")}`)
      if (ends.size === 1 && end !== "commit" && end !== "abort") {
        this.#world.violated(`the transaction of ${ids[0]} has not ended`)
      }
      if (ends.size === 1 && outcome !== "either" && end !== outcome) {
        this.#world.violated(`the transaction of ${ids[0]} has ended with ${end}, not with ${outcome}`)
      }
      if (end === "commit" && offset !== undefined) offsets.push(offset)
    }
    this.#offsets.check(offsets)
    this.#zombie.check()
  }
}
