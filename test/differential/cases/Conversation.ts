import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { AddOffsetsToTxn } from "@logbrook/protocols/kafka/messages/25_AddOffsetsToTxn"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import { TxnOffsetCommit } from "@logbrook/protocols/kafka/messages/28_TxnOffsetCommit"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import { DescribeTransactions } from "@logbrook/protocols/kafka/messages/65_DescribeTransactions"
import { ListTransactions } from "@logbrook/protocols/kafka/messages/66_ListTransactions"
import type { AnyApi, ResponseOf } from "@logbrook/protocols/kafka/Schema"
import { type Ask, type Case, type CaseOptions, single } from "../Case.ts"
import { batch, named } from "../fixtures.ts"
import type { Side } from "../Side.ts"
import { fetchAsk, type FetchAsk } from "./fetch.ts"
import { listAsk } from "./listOffsets.ts"
import { offsetsAsk } from "./offsets.ts"

const { CONCURRENT_TRANSACTIONS, COORDINATOR_LOAD_IN_PROGRESS, UNSTABLE_OFFSET_COMMIT } = KafkaError

/** Who asks: the producer that was begun last, unless it says otherwise. */
export interface Of {
  /** A transactional id. */
  readonly id?: string
  /** Of the producer that was kept under it. */
  readonly as?: string
  readonly producerId?: number
  /** Added to the producer's. */
  readonly epoch?: number
  /** Under which the producer is kept that the answer gives. */
  readonly keep?: string
}

interface InitAsk extends Of {
  readonly timeoutMs?: number
  /** With the id and epoch that it has. */
  readonly goesOn?: boolean
  /** Whether it asks again until the transaction before has ended. */
  readonly patient?: boolean
}

interface Write extends Of {
  readonly topic?: string
  readonly partition?: number
  readonly sequence?: number
  readonly values?: ReadonlyArray<string>
  readonly isTransactional?: boolean
  /** The request names no transactional id. */
  readonly withoutId?: boolean
  readonly acks?: number
}

interface Commit extends Of {
  readonly groupId?: string
  readonly topic?: string
  readonly partitions?: ReadonlyArray<number>
  readonly offset?: number
  readonly metadata?: string | null
  readonly member?: { readonly memberId?: string; readonly generationId?: number; readonly groupInstanceId?: string }
}

const notConcurrent = {
  until: ({ errorCode }: { readonly errorCode: number }) => errorCode !== CONCURRENT_TRANSACTIONS
}

/** Every record is of a transaction that has ended. */
const isSettled = ({ responses }: ResponseOf<typeof Fetch>): boolean =>
  responses.every(({ partitions }) =>
    partitions.every(({ lastStableOffset, highWatermark }) => lastStableOffset === highWatermark)
  )

/**
 * The requests of a transactional producer and of those who watch it, by the names of its id, its topic and its group. `round`: all
 * versions are the oldest in round 0, and each is newer by one in the next, as far as it goes.
 */
export class Conversation {
  readonly cases: Array<Case> = []
  readonly id: string
  readonly topic: string
  /** Of one partition, for what should leave no trace in the other. */
  readonly spare: string
  readonly group: string
  readonly #round: number
  readonly #version: 1 | 2

  constructor(name: string, round: number, version: 1 | 2) {
    this.id = `${name} ${round}`
    this.topic = `${name.replaceAll(" ", "-")}-${round}`
    this.spare = `${this.topic}-spare`
    this.group = `group of ${name} ${round}`
    this.#round = round
    this.#version = version
  }

  /** Those of clients of `transaction.version` 2 are the newest. */
  ask<A extends AnyApi>(
    api: A,
    [min, max]: readonly [number, number],
    what: string,
    ask: Ask<A>,
    options?: CaseOptions<A>
  ): void {
    const version = Math.min(min + this.#round, max)
    this.cases.push(single(api, version, `${this.id}: ${what}`, ask, options))
  }

  get #isNew(): boolean {
    return this.#version === 2
  }

  /** Keeps the id and the epoch that it is given, for those that come next or, under `keep`, for later. */
  init(what: string, { timeoutMs = 60_000, goesOn = false, keep = "", patient = true, ...of }: InitAsk = {}): void {
    this.ask(
      InitProducerId,
      goesOn || this.#isNew ? [3, 5] : [0, 5],
      what,
      (side) => {
        const { transactionalId, ...producer } = this.producer(side, of)
        return { transactionalId, transactionTimeoutMs: timeoutMs, ...(goesOn ? producer : {}) }
      },
      {
        ...(patient ? notConcurrent : {}),
        learn: (side, { errorCode, producerId, producerEpoch }) => {
          if (errorCode === 0) this.#keep(side, keep, producerId, producerEpoch)
        }
      }
    )
  }

  addPartitions(what: string, asked: ReadonlyArray<readonly [string, ReadonlyArray<number>]>, of: Of = {}): void {
    this.ask(
      AddPartitionsToTxn,
      [0, 3],
      what,
      (side) => {
        const { transactionalId, producerId, producerEpoch } = this.producer(side, of)
        return {
          v3AndBelowTransactionalId: transactionalId,
          v3AndBelowProducerId: producerId,
          v3AndBelowProducerEpoch: producerEpoch,
          v3AndBelowTopics: asked.map(([name, partitions]) => ({ name, partitions }))
        }
      },
      {
        until: ({ resultsByTopicV3AndBelow }) =>
          !resultsByTopicV3AndBelow.some(({ resultsByPartition }) =>
            resultsByPartition.some(({ partitionErrorCode }) => partitionErrorCode === CONCURRENT_TRANSACTIONS)
          )
      }
    )
  }

  addOffsets(what: string, { groupId = this.group, ...of }: Of & { readonly groupId?: string } = {}): void {
    this.ask(AddOffsetsToTxn, [0, 4], what, (side) => ({ ...this.producer(side, of), groupId }), notConcurrent)
  }

  produce(
    what: string,
    { partition = 0, topic = this.topic, sequence = 0, values = ["a", "b"], ...of }: Write = {}
  ): void {
    this.ask(
      Produce,
      this.#isNew ? [12, 13] : [3, 11],
      what,
      (side, version) => {
        const { transactionalId, ...producer } = this.producer(side, of)
        const fields = { ...producer, isTransactional: of.isTransactional ?? true, baseSequence: sequence }
        const records = batch(values, fields)
        const partitionData = [{ index: partition, records }]
        const by = of.withoutId === true ? null : transactionalId
        return {
          transactionalId: by,
          acks: of.acks ?? -1,
          timeoutMs: 5000,
          topicData: [{ ...named(side, version, 13, topic), partitionData }]
        }
      },
      {
        until: ({ responses }) =>
          !responses.some(({ partitionResponses }) =>
            partitionResponses.some(({ errorCode }) => errorCode === CONCURRENT_TRANSACTIONS)
          )
      }
    )
  }

  commitOffsets(what: string, { groupId = this.group, topic = this.topic, ...of }: Commit = {}): void {
    this.ask(
      TxnOffsetCommit,
      this.#isNew ? [5, 5] : [0, 4],
      what,
      (side) => ({
        ...this.producer(side, of),
        groupId,
        ...of.member,
        topics: [
          {
            name: topic,
            partitions: (of.partitions ?? [0]).map((partitionIndex) => ({
              partitionIndex,
              committedOffset: of.offset ?? 5,
              committedMetadata: of.metadata === undefined ? "note" : of.metadata
            }))
          }
        ]
      }),
      {
        until: ({ topics }) =>
          !topics.some(({ partitions }) =>
            partitions.some(
              ({ errorCode }) => errorCode === CONCURRENT_TRANSACTIONS || errorCode === COORDINATOR_LOAD_IN_PROGRESS
            )
          )
      }
    )
  }

  /** Keeps the id and the epoch with which the producer goes on. */
  end(what: string, committed: boolean, { keep = "", ...of }: Of & { readonly patient?: boolean } = {}): void {
    this.ask(EndTxn, this.#isNew ? [5, 5] : [0, 4], what, (side) => ({ ...this.producer(side, of), committed }), {
      ...(of.patient === false ? {} : notConcurrent),
      learn: (side, { errorCode, producerId, producerEpoch }) => {
        if (errorCode === 0 && this.#isNew) this.#keep(side, keep, producerId, producerEpoch)
      }
    })
  }

  /** What readers see: all, and what is committed. `until`: markers may be on their way. */
  read(what: string, { settled = false, ...ask }: FetchAsk & { readonly settled?: boolean } = {}): void {
    for (const isolationLevel of [0, 1]) {
      const asked = fetchAsk({ topic: this.topic, ...ask, isolationLevel })
      this.ask(Fetch, [4, 18], `${what}, isolation ${isolationLevel}`, asked, settled ? { until: isSettled } : {})
      for (const time of [-1, -2, -3]) {
        const list = listAsk(ask.topic ?? this.topic, ask.partition ?? 0, time, undefined, isolationLevel)
        this.ask(
          ListOffsets,
          [time === -3 ? 7 : isolationLevel + 1, 11],
          `${what}, isolation ${isolationLevel}, ${time}`,
          list
        )
      }
    }
  }

  offsets(what: string, partitions: ReadonlyArray<number> = [0], settled = false): void {
    const own = offsetsAsk(this.group, [[this.topic, partitions]])
    // Stable ones first: whoever asks for them may wait until the transaction's end is done.
    this.ask(
      OffsetFetch,
      [7, 10],
      `${what}, stable`,
      (side, version) => ({ ...own(side, version), requireStable: true }),
      {
        until: ({ groups, topics }) =>
          !settled ||
          ![...topics, ...groups.flatMap((group) => group.topics)].some(({ partitions }) =>
            partitions.some(({ errorCode }) => errorCode === UNSTABLE_OFFSET_COMMIT)
          )
      }
    )
    this.ask(OffsetFetch, [1, 10], what, own)
  }

  describe(what: string, settled = false): void {
    this.ask(DescribeTransactions, [0, 0], what, () => ({ transactionalIds: [this.id] }), {
      until: ({ transactionStates }) => !settled || !transactionStates[0]!.transactionState.startsWith("Prepare")
    })
    this.ask(ListTransactions, [0, 1], what, (side) => ({
      stateFilters: [],
      producerIdFilters: [side.number("producer")]
    }))
    this.ask(DescribeProducers, [0, 0], what, () => ({ topics: [{ name: this.topic, partitionIndexes: [0, 1, 2] }] }))
  }

  #keep(side: Side, keep: string, producerId: number, producerEpoch: number): void {
    side.numbers.set(`epoch${keep}`, producerEpoch)
    side.learnId(`producer${keep}`, producerId)
  }

  /** As whom it asks. */
  producer(side: Side, { id = this.id, as = "", producerId, epoch = 0 }: Of) {
    return {
      transactionalId: id,
      producerId: producerId ?? side.number(`producer${as}`),
      producerEpoch: side.number(`epoch${as}`) + epoch
    }
  }
}
