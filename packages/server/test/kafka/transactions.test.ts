import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { partitionActor, type PartitionState } from "@logbrook/actors/partition/Partition"
import { transactionActor } from "@logbrook/actors/transaction/TransactionProtocol"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { AddPartitionsToTxn } from "@logbrook/protocols/kafka/messages/24_AddPartitionsToTxn"
import { AddOffsetsToTxn } from "@logbrook/protocols/kafka/messages/25_AddOffsetsToTxn"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import { TxnOffsetCommit } from "@logbrook/protocols/kafka/messages/28_TxnOffsetCommit"
import { DescribeTransactions } from "@logbrook/protocols/kafka/messages/65_DescribeTransactions"
import { ListTransactions } from "@logbrook/protocols/kafka/messages/66_ListTransactions"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import { afterEach, describe, expect, it } from "vitest"
import { newestEvents } from "../support/newestEvents.ts"
import { batchOf, startKit, type Kit, type KitOptions, type RawClient } from "./kit.ts"
import { produceOf } from "./requests.ts"

const transactionalId = "billing"
const groupId = "invoices"
const topic = "orders"

let kit: Kit
let client: RawClient

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const start = async (options: KitOptions = {}): Promise<void> => {
  kit = await startKit(options)
  client = await kit.connect()
  await kit.createStream(topic, { partitions: 3 })
}

const init = (own: object = {}, version = 5) =>
  client.send(InitProducerId, version, { transactionalId, transactionTimeoutMs: 60_000, ...own })

const isKnown = (id: string): boolean => kit.broker.transactions.get(id) !== undefined

type Producer = Pick<Awaited<ReturnType<typeof init>>, "producerId" | "producerEpoch">

const begin = async (): Promise<Producer> => {
  const { errorCode, producerId, producerEpoch } = await init()
  expect(errorCode).toBe(KafkaError.NONE)
  return { producerId, producerEpoch }
}

const addPartitions = async (
  producer: Producer,
  partitions: ReadonlyArray<number>,
  name = topic,
  version = 3,
  id = transactionalId
) => {
  const { resultsByTopicV3AndBelow: results } = await client.send(AddPartitionsToTxn, version, {
    v3AndBelowTransactionalId: id,
    v3AndBelowProducerId: producer.producerId,
    v3AndBelowProducerEpoch: producer.producerEpoch,
    v3AndBelowTopics: [{ name, partitions }]
  })
  return results.flatMap(({ resultsByPartition }) => resultsByPartition.map((each) => each.partitionErrorCode))
}

const end = (producer: Producer, committed: boolean, version = 5) =>
  client.send(EndTxn, version, { transactionalId, ...producer, committed })

const commitInTransaction = async (producer: Producer, offset: number, version = 5, own: object = {}) => {
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: "" }]
  const request = { transactionalId, groupId, ...producer, topics: [{ name: topic, partitions }], ...own }
  const { topics } = await client.send(TxnOffsetCommit, version, request)
  return topics[0]!.partitions[0]!.errorCode
}

const commit = async (offset: number) => {
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: "" }]
  await client.send(OffsetCommit, 8, { groupId, topics: [{ name: topic, partitions }] })
}

const committedOffset = async (requireStable: boolean) => {
  const { topics } = await client.send(OffsetFetch, 7, {
    groupId,
    topics: [{ name: topic, partitionIndexes: [0] }],
    requireStable
  })
  const { committedOffset: offset, errorCode } = topics[0]!.partitions[0]!
  return errorCode === KafkaError.NONE ? offset : errorCode
}

const stateName = () => kit.broker.transactions.get(transactionalId)?.name

/** An end is answered before it is done. */
const isOver = () => expect.poll(stateName).toMatch(/^Complete/)

const { NONE, PRODUCER_FENCED, INVALID_PRODUCER_EPOCH, UNSTABLE_OFFSET_COMMIT } = KafkaError

describe("a transactional producer", () => {
  it("is told that transactions of version 2 are on, in a way that its version of ApiVersions can say", async () => {
    await start()
    const software = { clientSoftwareName: "raw", clientSoftwareVersion: "1" }
    for (const version of [3, 4]) {
      const { finalizedFeatures, finalizedFeaturesEpoch, supportedFeatures } = await client.send(
        ApiVersions,
        version,
        software
      )
      expect(finalizedFeaturesEpoch).toBeGreaterThanOrEqual(0)
      expect(finalizedFeatures).toEqual([{ name: "transaction.version", maxVersionLevel: 2, minVersionLevel: 2 }])
      // A minimum of 0 ends ApiVersions 3 in Java.
      const supported = { name: "transaction.version", minVersion: 0, maxVersion: 2 }
      expect(supportedFeatures).toEqual(version < 4 ? [] : [supported])
    }
  })

  it("finds this node as its coordinator", async () => {
    await start()
    const { coordinators } = await client.send(FindCoordinator, 4, { keyType: 1, coordinatorKeys: [transactionalId] })
    expect(coordinators).toMatchObject([{ errorCode: NONE, nodeId: 1, port: kit.listener.port }])
  })

  it("fences the one before, which is told so as its version knows it", async () => {
    await start()
    const zombie = await begin()
    const { producerId } = await begin()
    expect(producerId).toBe(zombie.producerId)
    for (const [version, code] of [
      [3, INVALID_PRODUCER_EPOCH],
      [4, PRODUCER_FENCED]
    ] as const) {
      expect((await init(zombie, version)).errorCode).toBe(code)
    }
    for (const [version, code] of [
      [1, INVALID_PRODUCER_EPOCH],
      [2, PRODUCER_FENCED]
    ] as const) {
      expect((await end(zombie, true, version)).errorCode).toBe(code)
      expect(await addPartitions(zombie, [0], topic, version)).toEqual([code])
      expect((await client.send(AddOffsetsToTxn, version, { transactionalId, ...zombie, groupId })).errorCode).toBe(
        code
      )
    }
  })

  it("is refused what is no request of a producer", async () => {
    await start({ limits: { transactionTimeoutMsMax: 900_000 } })
    expect((await init({ producerId: 5 })).errorCode).toBe(KafkaError.INVALID_REQUEST)
    expect((await init({ transactionTimeoutMs: 900_001 })).errorCode).toBe(KafkaError.INVALID_TRANSACTION_TIMEOUT)
    expect((await init({ transactionTimeoutMs: 900_000 })).errorCode).toBe(NONE)
  })

  it("is one of so many: the one that is at rest for longest gives way, and one with a transaction does not", async () => {
    await start({ limits: { transactionalIdsMax: 2 } })
    await addPartitions(await begin(), [0])
    expect((await init({ transactionalId: "a" })).errorCode).toBe(NONE)
    expect((await init({ transactionalId: "b" })).errorCode).toBe(NONE)
    expect([transactionalId, "a", "b"].map(isKnown)).toEqual([true, false, true])
    expect((await init({ transactionalId: "b" })).errorCode, "which is known").toBe(NONE)
    expect(stateName()).toBe("Ongoing")
  })

  it("is refused where there are as many, and all have transactions", async () => {
    await start({ limits: { transactionalIdsMax: 1 } })
    const producer = await begin()
    await addPartitions(producer, [0])
    expect((await init({ transactionalId: "b" })).errorCode).toBe(KafkaError.POLICY_VIOLATION)
    await end(producer, true)
    await isOver()
    expect((await init({ transactionalId: "b" })).errorCode).toBe(NONE)
    expect(isKnown(transactionalId)).toBe(false)
  })

  it("that is refused for what it asks has nobody give way", async () => {
    await start({ limits: { transactionalIdsMax: 2 } })
    for (const each of ["a", "b"]) expect((await init({ transactionalId: each })).errorCode).toBe(NONE)
    const { INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT } = KafkaError
    expect((await init({ transactionTimeoutMs: 0 })).errorCode).toBe(INVALID_TRANSACTION_TIMEOUT)
    expect((await init({ transactionalId: "x".repeat(513) })).errorCode).toBe(INVALID_REQUEST)
    expect(["a", "b"].map(isKnown)).toEqual([true, true])
  })

  it("has one other give way where they are too many, however long their names", async () => {
    await start({ limits: { transactionalIdsMax: 3 } })
    for (const each of ["a", "b", "c"]) expect((await init({ transactionalId: each })).errorCode).toBe(NONE)
    const long = "x".repeat(500)
    expect((await init({ transactionalId: long })).errorCode).toBe(NONE)
    expect(["a", "b", "c", long].map(isKnown)).toEqual([false, true, true, true])
  })

  it("passes the bound together with no others that begin in the same turn", async () => {
    await start({ limits: { transactionalIdsMax: 4 } })
    const old = ["a", "b", "c"]
    for (const each of old) expect((await init({ transactionalId: each })).errorCode).toBe(NONE)
    const newcomers = ["d", "e", "f"]
    const clients = await Promise.all(newcomers.map(() => kit.connect()))
    const begun = await Promise.all(
      newcomers.map((each, i) =>
        clients[i]!.send(InitProducerId, 5, { transactionalId: each, transactionTimeoutMs: 60_000 })
      )
    )
    expect(begun.map(({ errorCode }) => errorCode)).toEqual([NONE, NONE, NONE])
    expect([...old, ...newcomers].map(isKnown)).toEqual([false, false, true, true, true, true])
  })

  it("finds room where memory is full of ids at rest, and many at a time do", async () => {
    await start()
    const { memory } = kit.broker.shards
    const producer = await begin()
    await addPartitions(producer, [0])
    const some = Array.from({ length: 20 }, (_, i) => `rest-${i}`)
    for (const each of some) expect((await init({ transactionalId: each })).errorCode).toBe(NONE)
    const filled = memory.room("transactions")
    memory.add("transactions", filled)
    const newcomers = Array.from({ length: 5 }, (_, i) => `${"new".repeat(50)}-${i}`)
    const clients = await Promise.all(newcomers.map(() => kit.connect()))
    const begun = await Promise.all(
      newcomers.map((each, i) =>
        clients[i]!.send(InitProducerId, 5, { transactionalId: each, transactionTimeoutMs: 60_000 })
      )
    )
    expect(begun.map(({ errorCode }) => errorCode)).toEqual(newcomers.map(() => NONE))
    expect(newcomers.every(isKnown)).toBe(true)
    expect(some.map(isKnown).lastIndexOf(false), "the oldest go").toBe(some.filter((each) => !isKnown(each)).length - 1)
    expect(await addPartitions(producer, [1]), "what is open goes on").toEqual([NONE])
    memory.add("transactions", -filled)
  })

  it("is refused where memory is full and too little of it is at rest, and nobody gives way", async () => {
    await start()
    const { memory } = kit.broker.shards
    expect((await init({ transactionalId: "a" })).errorCode).toBe(NONE)
    const filled = memory.room("transactions")
    memory.add("transactions", filled)
    expect((await init({ transactionalId: "x".repeat(512) })).errorCode).toBe(KafkaError.POLICY_VIOLATION)
    expect(isKnown("a")).toBe(true)
    memory.add("transactions", -filled)
  })

  it("ends with a marker in each partition, and the next epoch in the answer of version 5", async () => {
    await start()
    const producer = await begin()
    expect(await addPartitions(producer, [0, 2])).toEqual([NONE, NONE])
    const ended = await end(producer, true)
    expect(ended).toMatchObject({ errorCode: NONE, producerId: producer.producerId, producerEpoch: 1 })
    await isOver()
    const logs = kit.broker.directory.byName(topic)!.logIds.map((logId) => kit.broker.shards.logsOf(logId).log(logId))
    expect(logs.map(({ highWatermark }) => highWatermark)).toEqual([1, 0, 1])
  })

  it("of version 1 keeps its epoch", async () => {
    await start()
    const producer = await begin()
    await addPartitions(producer, [0])
    expect(await end(producer, false, 4)).toMatchObject({ errorCode: NONE, producerEpoch: -1 })
    await isOver()
    expect(await addPartitions(producer, [0])).toEqual([NONE])
  })

  it("adds all of its partitions or none", async () => {
    await start()
    const producer = await begin()
    const { UNKNOWN_TOPIC_OR_PARTITION, OPERATION_NOT_ATTEMPTED } = KafkaError
    expect(await addPartitions(producer, [0, 9])).toEqual([OPERATION_NOT_ATTEMPTED, UNKNOWN_TOPIC_OR_PARTITION])
    expect(stateName()).toBe("Empty")
  })

  it("goes on with a new id when its epochs are exhausted", async () => {
    await start()
    const { producerId } = await begin()
    const exhausted = { producerId, producerEpoch: 32_766 }
    const logId = kit.broker.directory.byName(topic)!.logIds[0]!
    // As if it had ended so many transactions.
    for (let epoch = 1; epoch <= 32_766; epoch++) {
      const asked = { producerId, producerEpoch: epoch - 1, timeoutMs: 60_000, newProducerId: 0, mayBeNew: false }
      const turn = kit.ask(transactionActor(transactionalId), { _tag: "InitProducer", ...asked })
      if (epoch % 1000 === 0 || epoch === 32_766) await turn
    }
    expect(await addPartitions(exhausted, [0])).toEqual([NONE])
    const ended = await end(exhausted, true)
    expect(ended).toMatchObject({ errorCode: NONE, producerEpoch: 0 })
    expect(ended.producerId).toBeGreaterThan(producerId)
    await isOver()
    expect(kit.broker.shards.logsOf(logId).log(logId).highWatermark).toBe(1)
  })
})

describe("a transaction whose stream is deleted", () => {
  it("ends, and the others of its partitions get their markers", async () => {
    await start()
    const other = await kit.createStream("kept")
    const producer = await begin()
    await addPartitions(producer, [0])
    await addPartitions(producer, [0], "kept")
    await client.send(DeleteTopics, 6, { topics: [{ name: topic, topicId: zeroUuid }], timeoutMs: 1000 })
    expect((await end(producer, true)).errorCode).toBe(NONE)
    await isOver()
    const [logId] = other.logIds
    expect(kit.broker.shards.logsOf(logId!).log(logId!).highWatermark).toBe(1)
  })

  it("writes no marker to a partition that was deleted, and forgotten since because it was idle", async () => {
    await start()
    const [logId] = kit.broker.directory.byName(topic)!.logIds
    const producer = await begin()
    await addPartitions(producer, [0])
    await client.send(DeleteTopics, 6, { topics: [{ name: topic, topicId: zeroUuid }], timeoutMs: 1000 })
    const deleted = () =>
      [...kit.shard.actors.live()].find(
        ({ id, state }) => id === partitionActor(logId!) && (state as PartitionState).isDeleted
      )
    await expect.poll(deleted).toBeDefined()
    kit.shard.actors.passivate(deleted()!)
    expect(kit.shard.actors.ids()).not.toContain(partitionActor(logId!))
    expect((await end(producer, true)).errorCode).toBe(NONE)
    await isOver()
    expect(kit.shard.logs.find(logId!)).toBeUndefined()
    expect(kit.shard.logs.oldestNeededSeq()).toBe(Infinity)
  })
})

describe("offsets of a transaction", () => {
  it("are there once it commits, and unstable until then for who asks so", async () => {
    await start()
    await commit(3)
    const producer = await begin()
    expect(await commitInTransaction(producer, 7)).toBe(NONE)
    expect(await committedOffset(false)).toBe(3)
    expect(await committedOffset(true)).toBe(UNSTABLE_OFFSET_COMMIT)
    await end(producer, true)
    await isOver()
    expect(await committedOffset(true)).toBe(7)
  })

  it("are dropped when it aborts", async () => {
    await start()
    await commit(3)
    const producer = await begin()
    await commitInTransaction(producer, 7)
    await end(producer, false)
    await isOver()
    expect(await committedOffset(true)).toBe(3)
  })

  it("need the group in the transaction before version 5", async () => {
    await start()
    const producer = await begin()
    expect(await commitInTransaction(producer, 7, 3)).toBe(KafkaError.INVALID_TXN_STATE)
    expect(await commitInTransaction(producer, 7, 4)).toBe(KafkaError.TRANSACTION_ABORTABLE)
    await client.send(AddOffsetsToTxn, 4, { transactionalId, ...producer, groupId })
    for (const version of [0, 3, 4]) expect(await commitInTransaction(producer, 7, version)).toBe(NONE)
  })

  it("beyond what can be told exactly are refused, as OffsetCommit refuses them", async () => {
    await start()
    const producer = await begin()
    expect(await commitInTransaction(producer, Number.MAX_SAFE_INTEGER)).toBe(KafkaError.OFFSET_OUT_OF_RANGE)
    expect(await commitInTransaction(producer, Number.MIN_SAFE_INTEGER)).toBe(KafkaError.OFFSET_OUT_OF_RANGE)
    expect(stateName()).toBe("Empty")
  })

  it("of a group without a name are refused", async () => {
    await start()
    const producer = await begin()
    for (const version of [0, 5]) {
      expect(await commitInTransaction(producer, 7, version, { groupId: "" })).toBe(KafkaError.INVALID_GROUP_ID)
    }
    expect(stateName()).toBe("Empty")
  })

  it("of a zombie, of another producer or of another generation are refused", async () => {
    await start()
    const zombie = await begin()
    const producer = await begin()
    expect(await commitInTransaction(zombie, 7)).toBe(INVALID_PRODUCER_EPOCH)
    const stranger = { ...producer, producerId: producer.producerId + 1 }
    expect(await commitInTransaction(stranger, 7)).toBe(KafkaError.INVALID_PRODUCER_ID_MAPPING)
    const member = { memberId: "m", generationId: 3 }
    expect(await commitInTransaction(producer, 7, 5, member)).toBe(KafkaError.ILLEGAL_GENERATION)
    await expect(kit.ask(groupActor(groupId), { _tag: "Describe" })).rejects.toThrow()
  })
})

describe("a request without a transactional id", () => {
  it("comes to no coordinator, in any API", async () => {
    await start()
    const producer = await begin()
    const { INVALID_REQUEST } = KafkaError
    const empty = { transactionalId: "" }
    const fields = { ...producer, baseSequence: 0, isTransactional: true }
    const { nextSeq } = kit.shard
    expect((await init(empty)).errorCode).toBe(INVALID_REQUEST)
    expect(await addPartitions(producer, [0], topic, 3, "")).toEqual([INVALID_REQUEST])
    expect((await client.send(AddOffsetsToTxn, 4, { ...empty, ...producer, groupId })).errorCode).toBe(INVALID_REQUEST)
    expect((await client.send(EndTxn, 5, { ...empty, ...producer, committed: true })).errorCode).toBe(INVALID_REQUEST)
    expect(await commitInTransaction(producer, 7, 5, empty)).toBe(INVALID_REQUEST)
    const described = await client.send(DescribeTransactions, 0, { transactionalIds: [""] })
    expect(described.transactionStates[0]!.errorCode).toBe(INVALID_REQUEST)
    const produced = await client.send(Produce, 12, produceOf(topic, batchOf(["a"], fields), empty))
    expect(Produce.firstError(produced)).toBe(INVALID_REQUEST)
    expect(kit.shard.nextSeq).toBe(nextSeq)
    expect([...kit.shard.actors.ids()]).not.toContain(transactionActor(""))
    const { coordinators } = await client.send(FindCoordinator, 4, { keyType: 1, coordinatorKeys: [""] })
    expect(coordinators[0]!.errorCode, "as Kafka answers it").toBe(NONE)
  })
})

const refusals = () => newestEvents(kit, { kind: "client" })

describe("what a coordinator refuses", () => {
  it("is in the journal with its reason, since no answer has a text, but not what is asked again", async () => {
    await start({ limits: { transactionPartitionsMax: 1 } })
    const zombie = await begin()
    const producer = await begin()
    await addPartitions(producer, [0])
    expect(await addPartitions(producer, [1])).toEqual([KafkaError.POLICY_VIOLATION])
    expect((await client.send(AddOffsetsToTxn, 4, { transactionalId, ...producer, groupId })).errorCode).toBe(
      KafkaError.POLICY_VIOLATION
    )
    expect(await commitInTransaction(producer, 7, 3)).toBe(KafkaError.INVALID_TXN_STATE)
    expect((await end(zombie, true)).errorCode).toBe(PRODUCER_FENCED)
    expect((await init({ transactionTimeoutMs: 0 })).errorCode).toBe(KafkaError.INVALID_TRANSACTION_TIMEOUT)
    expect((await init()).errorCode).toBe(KafkaError.CONCURRENT_TRANSACTIONS)
    await expect.poll(refusals).toHaveLength(1)
    const of = 'of "billing": '
    const refused = [
      ["44 POLICY_VIOLATION", `AddPartitionsToTxn ${of}A transaction has at most 1 partitions and groups.`, 2],
      ["48 INVALID_TXN_STATE", `TxnOffsetCommit ${of}The group was not added to the transaction.`, 1],
      ["90 PRODUCER_FENCED", `EndTxn ${of}The producer's epoch is not the newest.`, 1],
      ["50 INVALID_TRANSACTION_TIMEOUT", `InitProducerId ${of}The timeout is above 0 and at most 3600000 ms.`, 1]
    ].map(([code, reason, count]) => ({ code, reason, count, topic: null }))
    expect(refusals()[0]).toMatchObject({ actor: "client/raw", event: { protocol: "kafka", refused } })
  })
})

const metricsOf = (start: string): ReadonlyArray<string> =>
  kit.broker.metrics
    .render()
    .split("\n")
    .filter((line) => line.startsWith(start))
    .sort()

describe("the metrics of transactions", () => {
  it("tell how many there are, how they ended, and whether zombies ask", async () => {
    await start()
    let producer = await begin()
    const ended = async (committed: boolean) => {
      await addPartitions(producer, [0])
      const { producerId, producerEpoch } = await end(producer, committed)
      producer = { producerId, producerEpoch }
      await isOver()
    }
    await ended(true)
    await ended(true)
    await ended(false)
    await addPartitions(producer, [0])
    await init({ transactionalId: "idle" })
    expect(metricsOf("logbrook_transactional_ids ")).toEqual(["logbrook_transactional_ids 2"])
    expect(metricsOf("logbrook_transactions{")).toEqual([
      'logbrook_transactions{state="ending"} 0',
      'logbrook_transactions{state="open"} 1'
    ])
    await init()
    await isOver()
    expect((await end(producer, true)).errorCode).toBe(PRODUCER_FENCED)
    await addPartitions(await begin(), [0])
    await kit.ask(transactionActor(transactionalId), { _tag: "Abort" })
    await isOver()
    producer = await begin()
    await ended(false)
    expect(metricsOf("logbrook_transactions_committed_total")).toEqual(["logbrook_transactions_committed_total 2"])
    expect(metricsOf("logbrook_transactions_aborted_total")).toEqual([
      'logbrook_transactions_aborted_total{reason="new_producer"} 1',
      'logbrook_transactions_aborted_total{reason="operator"} 1',
      'logbrook_transactions_aborted_total{reason="producer"} 2',
      'logbrook_transactions_aborted_total{reason="timeout"} 0'
    ])
    expect(metricsOf("logbrook_kafka_fenced_requests_total")).toEqual([
      'logbrook_kafka_fenced_requests_total{api="EndTxn"} 1'
    ])
  })

  it("tell of one that took longer than its timeout", async () => {
    await start()
    const { producerId, producerEpoch } = await init({ transactionTimeoutMs: 1 })
    await addPartitions({ producerId, producerEpoch }, [0])
    await isOver()
    expect(metricsOf('logbrook_transactions_aborted_total{reason="timeout"')).toEqual([
      'logbrook_transactions_aborted_total{reason="timeout"} 1'
    ])
  })
})

describe("what is known of transactions", () => {
  it("is described and listed, by state, producer and duration", async () => {
    await start()
    const producer = await begin()
    await addPartitions(producer, [0, 1])
    await init({ transactionalId: "idle" })
    const asked = { transactionalIds: [transactionalId, "idle", "nobody", ""] }
    const { transactionStates } = await client.send(DescribeTransactions, 0, asked)
    expect(transactionStates).toMatchObject([
      { errorCode: NONE, transactionState: "Ongoing", ...producer, topics: [{ topic, partitions: [0, 1] }] },
      { errorCode: NONE, transactionState: "Empty", transactionStartTimeMs: -1, topics: [] },
      { errorCode: KafkaError.TRANSACTIONAL_ID_NOT_FOUND },
      { errorCode: KafkaError.INVALID_REQUEST }
    ])
    const listed = async (own: object = {}) => {
      const request = { stateFilters: [], producerIdFilters: [], ...own }
      const { transactionStates: states, unknownStateFilters } = await client.send(ListTransactions, 1, request)
      return [...states.map((each) => each.transactionalId), ...unknownStateFilters]
    }
    expect((await listed()).toSorted()).toEqual([transactionalId, "idle"])
    expect(await listed({ stateFilters: ["Ongoing", "Nonsense"] })).toEqual([transactionalId, "Nonsense"])
    expect(await listed({ stateFilters: ["Nonsense"] })).toEqual(["Nonsense"])
    expect(await listed({ producerIdFilters: [producer.producerId] })).toEqual([transactionalId])
    expect(await listed({ durationFilter: 3_600_000 })).toEqual([])
    expect(await listed({ durationFilter: 0 })).toEqual([transactionalId])
  })
})
