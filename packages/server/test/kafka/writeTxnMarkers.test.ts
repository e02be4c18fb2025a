import { Authorizer } from "@logbrook/core/access/Authorizer"
import type { Operation, Rule } from "@logbrook/core/access/Access"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { WriteTxnMarkers } from "@logbrook/protocols/kafka/messages/27_WriteTxnMarkers"
import type { RequestInputOf, RequestOf } from "@logbrook/protocols/kafka/Schema"
import { afterEach, describe, expect, it } from "vitest"
import { startKit, type Kit, type KitOptions, type RawClient } from "./kit.ts"
import { readCommitted, TransactionalWriter } from "./transactionsKit.ts"

const {
  NONE,
  CLUSTER_AUTHORIZATION_FAILED,
  INVALID_PRODUCER_EPOCH,
  INVALID_PRODUCER_ID_MAPPING,
  INVALID_REQUEST,
  OPERATION_NOT_ATTEMPTED,
  PRODUCER_FENCED,
  TOPIC_AUTHORIZATION_FAILED,
  TRANSACTION_ABORTABLE,
  TRANSACTION_COORDINATOR_FENCED,
  UNKNOWN_TOPIC_OR_PARTITION
} = KafkaError

let kit: Kit
let client: RawClient

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const start = async (options: KitOptions = {}): Promise<void> => {
  kit = await startKit(options)
  client = await kit.connect()
  await kit.createStream("orders", { partitions: 2 })
}

const logOf = (partition = 0) => kit.shard.logs.log(kit.broker.directory.byName("orders")!.logIds[partition]!)

type Marker = RequestInputOf<typeof WriteTxnMarkers>["markers"][number]

const abort = (producerId: number, own: Partial<Marker> = {}): Marker => ({
  producerId,
  producerEpoch: 0,
  transactionResult: false,
  topics: [{ name: "orders", partitionIndexes: [0] }],
  coordinatorEpoch: 0,
  ...own
})

/** Each partition with its code. */
const write = async (markers: ReadonlyArray<Marker>, version = 2) => {
  const { markers: results } = await client.send(WriteTxnMarkers, version, { markers })
  return results.map(({ producerId, topics }) => [
    producerId,
    ...topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode }) => [name, partitionIndex, errorCode])
    )
  ])
}

const mayNot = (operations: ReadonlyArray<Operation>): KitOptions => {
  const rule: Rule = (_principal, operation, resource) =>
    resource.type === "Cluster" && operations.includes(operation) ? { reason: "BoundStream", text: "no" } : undefined
  return { authorizer: new Authorizer([rule]) }
}

describe("WriteTxnMarkers", () => {
  it("ends the transaction of a producer in a partition, and its readers go on", async () => {
    await start()
    const writer = new TransactionalWriter(kit, logOf().id)
    await writer.batch(7, ["a"])
    await writer.batch(8, ["b"])
    expect(await write([abort(7)], 1)).toEqual([[7, ["orders", 0, NONE]]])
    expect(logOf().lastStableOffset, "the other one's is open").toBe(1)
    expect(await write([abort(8, { transactionResult: true })])).toEqual([[8, ["orders", 0, NONE]]])
    expect((await readCommitted(client, "orders", 0, 1_000_000)).values).toEqual(["b"])
    const { highWatermark } = logOf()
    expect(await write([abort(8, { transactionResult: true })]), "as one that comes again").toEqual([
      [8, ["orders", 0, NONE]]
    ])
    expect(logOf().highWatermark).toBe(highWatermark)
  })

  it("answers by producer and topic, and says of each partition why there is no marker", async () => {
    await start()
    await kit.createStream("bound", { filters: ["b/#"] })
    const writer = new TransactionalWriter(kit, logOf().id)
    await writer.batch(7, ["a"])
    const elsewhere = [
      { name: "orders", partitionIndexes: [0, 2] },
      { name: "nowhere", partitionIndexes: [0] },
      { name: "bound", partitionIndexes: [0] }
    ]
    const older = abort(7, { producerEpoch: -2, topics: elsewhere })
    const future = abort(7, { coordinatorEpoch: kit.broker.shards.epoch + 1 })
    const { nextSeq } = kit.shard
    expect(await write([older, abort(-1), future, abort(7, { transactionVersion: 2 })])).toEqual([
      [
        7,
        ["orders", 0, INVALID_PRODUCER_EPOCH],
        ["orders", 2, UNKNOWN_TOPIC_OR_PARTITION],
        ["orders", 0, INVALID_REQUEST],
        ["orders", 0, INVALID_PRODUCER_EPOCH],
        ["nowhere", 0, UNKNOWN_TOPIC_OR_PARTITION],
        ["bound", 0, TOPIC_AUTHORIZATION_FAILED]
      ],
      [-1, ["orders", 0, INVALID_REQUEST]]
    ])
    expect(kit.shard.nextSeq).toBe(nextSeq)
    expect(await write([abort(7, { coordinatorEpoch: kit.broker.shards.epoch })])).toEqual([[7, ["orders", 0, NONE]]])
    expect(kit.broker.shards.epoch).toBeGreaterThan(0)
    expect(await write([abort(7)])).toEqual([[7, ["orders", 0, TRANSACTION_COORDINATOR_FENCED]]])
  })

  it("is for who may alter the cluster or act in it, either of them", async () => {
    for (const [denied, code] of [
      [["Alter"], NONE],
      [["ClusterAction"], NONE],
      [["Alter", "ClusterAction"], CLUSTER_AUTHORIZATION_FAILED]
    ] as const) {
      if (kit !== undefined) await kit.close()
      await start(mayNot(denied))
      expect(await write([abort(7)])).toEqual([[7, ["orders", 0, code]]])
    }
  })
})

const init = async (transactionalId: string) => {
  const { producerId, producerEpoch } = await client.send(InitProducerId, 5, {
    transactionalId,
    transactionTimeoutMs: 60_000
  })
  return { transactionalId, producerId, producerEpoch }
}

const orders = (...partitions: ReadonlyArray<number>) => ({ name: "orders", partitions })

const addTo = async (transactions: RequestOf<typeof AddPartitionsToTxn>["transactions"], version = 5) => {
  const { errorCode, resultsByTransaction } = await client.send(AddPartitionsToTxn, version, { transactions })
  const results = resultsByTransaction.map(({ transactionalId, topicResults }) => [
    transactionalId,
    ...topicResults.flatMap(({ resultsByPartition }) => resultsByPartition.map((each) => each.partitionErrorCode))
  ])
  return [errorCode, ...results]
}

const partitionsOf = (transactionalId: string) =>
  Array.from(kit.broker.transactions.get(transactionalId)!.life.partitions.values(), ({ partition }) => partition)

describe("AddPartitionsToTxn of brokers", () => {
  it.each([4, 5])("adds to several transactions, to each all or nothing, in version %i", async (version) => {
    await start()
    const [a, b, c] = [await init("a"), await init("b"), await init("c")]
    const verifyOnly = false
    const added = await addTo(
      [
        { ...a, verifyOnly, topics: [orders(0)] },
        { ...b, verifyOnly, topics: [orders(0, 9)] },
        { ...c, verifyOnly, producerEpoch: c.producerEpoch + 1, topics: [orders(0)] },
        { ...a, verifyOnly, transactionalId: "", topics: [orders(1)] }
      ],
      version
    )
    expect(added).toEqual([
      NONE,
      ["a", NONE],
      ["b", OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION],
      ["c", PRODUCER_FENCED],
      ["", INVALID_REQUEST]
    ])
    expect(["a", "b", "c"].map(partitionsOf)).toEqual([[0], [], []])
  })

  it("verifies: each partition is told whether it is in the transaction, and none is added", async () => {
    await start()
    const a = await init("a")
    await addTo([{ ...a, verifyOnly: false, topics: [orders(1)] }])
    const verifyOnly = true
    const unknown = { ...a, verifyOnly, producerId: a.producerId + 1, topics: [orders(1)] }
    const { nextSeq } = kit.shard
    expect(await addTo([{ ...a, verifyOnly, topics: [orders(0, 1)] }, unknown])).toEqual([
      NONE,
      ["a", TRANSACTION_ABORTABLE, NONE],
      ["a", INVALID_PRODUCER_ID_MAPPING]
    ])
    expect(await addTo([{ ...a, verifyOnly, topics: [orders(1)] }])).toEqual([NONE, ["a", NONE]])
    expect(kit.shard.nextSeq).toBe(nextSeq)
    expect(partitionsOf("a")).toEqual([1])
  })

  it("is for who may act in the cluster", async () => {
    await start(mayNot(["ClusterAction"]))
    const a = await init("a")
    expect(await addTo([{ ...a, verifyOnly: false, topics: [orders(0)] }])).toEqual([CLUSTER_AUTHORIZATION_FAILED])
    expect(partitionsOf("a")).toEqual([])
  })
})
