import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import { describe, expect, it } from "vitest"
import { aKitForEach } from "./aKitForEach.ts"
import { batchOf, type Kit, type RawClient } from "./kit.ts"
import { readCommitted } from "./transactionsKit.ts"

const {
  NONE,
  INVALID_REQUEST,
  INVALID_TXN_STATE,
  INVALID_PRODUCER_EPOCH,
  INVALID_PRODUCER_ID_MAPPING,
  OUT_OF_ORDER_SEQUENCE_NUMBER,
  TRANSACTION_ABORTABLE,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED
} = KafkaError

const transactionalId = "billing"

let kit: Kit
let client: RawClient

aKitForEach((newKit, newClient) => {
  kit = newKit
  client = newClient
})

interface Producer {
  readonly producerId: number
  readonly producerEpoch: number
}

const init = async (id = transactionalId): Promise<Producer> => {
  const request = { transactionalId: id, transactionTimeoutMs: 60_000 }
  const { errorCode, producerId, producerEpoch } = await client.send(InitProducerId, 5, request)
  expect(errorCode).toBe(NONE)
  return { producerId, producerEpoch }
}

interface Sent {
  readonly version?: number
  readonly partitions?: ReadonlyArray<number>
  readonly id?: string | null
  readonly isTransactional?: boolean
}

/** The error of each partition. */
const produce = async (
  producer: Producer,
  baseSequence: number,
  value: string,
  { version = 12, partitions = [0], id = transactionalId, isTransactional = true }: Sent = {}
): Promise<ReadonlyArray<number>> => {
  const records = () => batchOf([value], { ...producer, baseSequence, isTransactional })
  const partitionData = partitions.map((index) => ({ index, records: records() }))
  const { responses } = await client.send(Produce, version, {
    transactionalId: id,
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: "orders", partitionData }]
  })
  return responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)
}

const addPartitions = async (producer: Producer, partitions: ReadonlyArray<number>): Promise<void> => {
  const { resultsByTopicV3AndBelow: results } = await client.send(AddPartitionsToTxn, 3, {
    v3AndBelowTransactionalId: transactionalId,
    v3AndBelowProducerId: producer.producerId,
    v3AndBelowProducerEpoch: producer.producerEpoch,
    v3AndBelowTopics: [{ name: "orders", partitions }]
  })
  for (const { resultsByPartition } of results) {
    for (const { partitionErrorCode } of resultsByPartition) expect(partitionErrorCode).toBe(NONE)
  }
}

/** The producer as it goes on, once all markers are written. */
const end = async (producer: Producer, committed: boolean, version = 5): Promise<Producer> => {
  const answer = await client.send(EndTxn, version, { transactionalId, ...producer, committed })
  expect(answer.errorCode).toBe(NONE)
  await expect.poll(() => kit.broker.transactions.get(transactionalId)?.name).toMatch(/^Complete/)
  return version < 5 ? producer : { producerId: answer.producerId, producerEpoch: answer.producerEpoch }
}

const committed = async (): Promise<ReadonlyArray<string>> =>
  (await readCommitted(client, "orders", 0, 1_000_000)).values

describe("a producer of transaction.version 2", () => {
  it("adds the partitions that it writes, all of a request at once, and ends them", async () => {
    await kit.createStream("orders", { partitions: 3 })
    const first = await init()
    expect(await produce(first, 0, "a", { partitions: [0, 1] })).toEqual([NONE, NONE])
    expect(await produce(first, 1, "b")).toEqual([NONE])
    expect(await produce(first, 0, "c", { partitions: [2] })).toEqual([NONE])
    expect(await committed()).toEqual([])
    const second = await end(first, true)
    expect(second.producerEpoch).toBe(first.producerEpoch + 1)
    expect(await committed()).toEqual(["a", "b"])
    expect(await produce(second, 0, "c")).toEqual([NONE])
    const third = await end(second, false)
    expect(await produce(third, 0, "d")).toEqual([NONE])
    await end(third, true)
    expect(await committed()).toEqual(["a", "b", "d"])
  })

  it("is fenced by its next epoch, at its partitions and at its coordinator", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const zombie = await init()
    expect(await produce(zombie, 0, "a")).toEqual([NONE])
    await end(zombie, true)
    expect(await produce(zombie, 1, "b")).toEqual([INVALID_PRODUCER_EPOCH])
    expect(await produce(zombie, 0, "b", { partitions: [1] })).toEqual([INVALID_PRODUCER_EPOCH])
    expect(await committed()).toEqual(["a"])
  })

  it("has a transactional id that is not empty", async () => {
    await kit.createStream("orders")
    const producer = await init()
    for (const version of [3, 12]) {
      expect(await produce(producer, 0, "a", { version, id: "" })).toEqual([INVALID_REQUEST])
    }
    expect(await produce(producer, 0, "a", { id: "", isTransactional: false })).toEqual([NONE])
  })

  it("begins with sequence 0 where it is not known", async () => {
    await kit.createStream("orders")
    const producer = await init()
    expect(await produce(producer, 4, "a")).toEqual([OUT_OF_ORDER_SEQUENCE_NUMBER])
    expect(await produce(producer, 0, "a")).toEqual([NONE])
  })

  it("is shown with its open transaction", async () => {
    await kit.createStream("orders")
    const producer = await init()
    await produce(producer, 0, "a")
    const topics = [{ name: "orders", partitionIndexes: [0] }]
    const { topics: found } = await client.send(DescribeProducers, 0, { topics })
    expect(found[0]!.partitions[0]!.activeProducers).toMatchObject([{ ...producer, currentTxnStartOffset: 0 }])
  })
})

describe("a producer of transaction.version 1", () => {
  it("writes to partitions that it has added, and to no others", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const producer = await init()
    await addPartitions(producer, [0])
    const version = 11
    expect(await produce(producer, 0, "a", { version, partitions: [0, 1] })).toEqual([
      TRANSACTION_ABORTABLE,
      TRANSACTION_ABORTABLE
    ])
    expect(await produce(producer, 0, "a", { version: 10, partitions: [1] })).toEqual([INVALID_TXN_STATE])
    expect(await produce(producer, 0, "a", { version })).toEqual([NONE])
    expect(await produce(producer, 1, "b", { version })).toEqual([NONE])
    expect(await committed()).toEqual([])
    await end(producer, true, 3)
    expect(await committed()).toEqual(["a", "b"])
    // The same epoch goes on, and its sequences do.
    expect(await produce(producer, 2, "c", { version })).toEqual([TRANSACTION_ABORTABLE])
    await addPartitions(producer, [0])
    expect(await produce(producer, 2, "c", { version })).toEqual([NONE])
    await end(producer, false, 3)
    expect(await committed()).toEqual(["a", "b"])
  })
})

describe("a batch of a transaction", () => {
  it("is refused without the transactional id of its producer", async () => {
    await kit.createStream("orders")
    const producer = await init()
    expect(await produce(producer, 0, "a", { id: null })).toEqual([TRANSACTIONAL_ID_AUTHORIZATION_FAILED])
    expect(await produce(producer, 0, "a", { id: "other" })).toEqual([INVALID_PRODUCER_ID_MAPPING])
    await init("other")
    expect(await produce(producer, 0, "a", { id: "other" })).toEqual([INVALID_PRODUCER_ID_MAPPING])
  })

  it("does not stand beside one of none while its transaction is open", async () => {
    await kit.createStream("orders", { partitions: 2 })
    const producer = await init()
    expect(await produce(producer, 0, "a")).toEqual([NONE])
    expect(await produce(producer, 1, "b", { isTransactional: false })).toEqual([INVALID_TXN_STATE])
    expect(await produce(producer, 0, "b", { isTransactional: false, partitions: [1] })).toEqual([NONE])
  })
})
