import { type Clock, systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { batchOf, type Kit, startKit, startMs, until } from "./kit.ts"

// Requests of so many elements that they would hold the event loop for long are done over turns of it.

const partitions = 300
/** 1,200 batches. */
const timesEach = 4
/** Batches that are checked, or stored, in a turn of the event loop. */
const batchesPerTurn = 256

/** Counts the turns of the event loop that the server asks for. Each look at the clock takes a lookup's whole share of a turn, if it is slow. */
class CountingClock implements Clock {
  turns = 0
  isSlow = false
  #slowMs = 0
  readonly nowMs = systemClock.nowMs
  readonly after = systemClock.after
  readonly monotonicMs = (): number => {
    if (this.isSlow) this.#slowMs += 10
    return systemClock.monotonicMs() + this.#slowMs
  }
  readonly nextTurn = (task: () => void): void => {
    this.turns++
    systemClock.nextTurn(task)
  }
}

let clock: CountingClock
let journal: MemoryJournal
let kit: Kit

beforeEach(async () => {
  clock = new CountingClock()
  journal = new MemoryJournal(clock)
  const limits = { ...defaultLimits, partitionsPerStreamMax: partitions }
  kit = await startKit({ clock, journal, limits })
})

afterEach(async () => {
  vi.restoreAllMocks()
  await kit.close()
  expect(kit.defects).toEqual([])
})

const manyBatches = (name: string, acks = -1) => ({
  transactionalId: null,
  acks,
  timeoutMs: 1000,
  topicData: [
    {
      name,
      partitionData: Array.from({ length: partitions * timesEach }, (_, i) => ({
        index: i % partitions,
        records: batchOf([{ value: `record ${i}`, timestampMs: startMs + i }])
      }))
    }
  ]
})

const allAt = (name: string, timestamp: number) => ({
  replicaId: -1,
  topics: [
    { name, partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp })) }
  ]
})

it("a Produce of many batches is stored part by part, in its order, and nothing behind it overtakes", async () => {
  await kit.createStream("orders", { partitions })
  const client = await kit.connect()
  const commits = vi.spyOn(journal, "append")
  const behind = { ...manyBatches("orders"), topicData: [manyBatches("orders").topicData[0]!] }
  behind.topicData[0]!.partitionData = [{ index: 0, records: batchOf(["behind"]) }]
  const [first, second] = await Promise.all([
    client.send(Produce, 9, manyBatches("orders")),
    client.send(Produce, 9, behind)
  ])
  const told = first.responses[0]!.partitionResponses.map(({ index, errorCode, baseOffset }) => [
    index,
    errorCode,
    baseOffset
  ])
  expect(told).toEqual(
    Array.from({ length: partitions * timesEach }, (_, i) => [i % partitions, 0, Math.floor(i / partitions)])
  )
  expect(second.responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: timesEach })
  const sizes = commits.mock.calls.map(([commit]) => commit.nextSeq - commit.firstSeq)
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(partitions * timesEach + 1)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(batchesPerTurn)
  expect(kit.broker.shards.memory.bytes("transit")).toBe(0)
})

it("many batches that are refused are so over turns of the event loop", async () => {
  const client = await kit.connect()
  const before = clock.turns
  const { responses } = await client.send(Produce, 9, manyBatches("nowhere"))
  const codes = responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)
  expect(codes).toEqual(Array.from(codes, () => KafkaError.UNKNOWN_TOPIC_OR_PARTITION))
  expect(codes).toHaveLength(partitions * timesEach)
  expect(clock.turns - before).toBeGreaterThanOrEqual(Math.floor((partitions * timesEach) / batchesPerTurn))
  expect(kit.broker.shards.memory.bytes("transit")).toBe(0)
})

it("what a client without acknowledgements has sent whole is stored, though it has gone", async () => {
  const { logIds } = await kit.createStream("orders", { partitions })
  const client = await kit.connect()
  const watcher = await kit.connect()
  client.write(client.requestOf(Produce, 9, manyBatches("orders", 0)))
  await until(() => kit.broker.shards.memory.bytes("transit") > 0)
  client.socket.destroy()
  await until(() => logIds.every((logId) => kit.shard.logs.log(logId).highWatermark === timesEach))
  const { topics } = await watcher.send(ListOffsets, 1, allAt("orders", -1))
  expect(topics[0]!.partitions.map(({ offset }) => offset)).toEqual(Array.from({ length: partitions }, () => timesEach))
  await until(() => kit.broker.shards.memory.bytes("transit") === 0)
})

it("offsets by time are looked up as many in a turn of the event loop as a few milliseconds allow", async () => {
  await kit.createStream("orders", { partitions })
  const client = await kit.connect()
  await client.send(Produce, 9, manyBatches("orders"))
  clock.isSlow = true
  const before = clock.turns
  const { topics } = await client.send(ListOffsets, 1, allAt("orders", startMs + 2 * partitions))
  const found = topics[0]!.partitions.map(({ partitionIndex, offset, timestamp }) => [
    partitionIndex,
    offset,
    timestamp
  ])
  expect(found).toEqual(Array.from({ length: partitions }, (_, i) => [i, 2, startMs + 2 * partitions + i]))
  // Each of them took all of its turn.
  expect(clock.turns - before).toBeGreaterThanOrEqual(partitions - 1)
  expect(kit.broker.shards.memory.bytes("transit")).toBe(0)
})

it("a connection has one request with lookups under way, and the next one behind it", async () => {
  await kit.createStream("orders", { partitions })
  const client = await kit.connect()
  await client.send(Produce, 9, manyBatches("orders"))
  const looked = vi.spyOn(kit.shard.logs, "offsetForTimestamp")
  const put: Array<() => void> = []
  clock.isSlow = true
  vi.spyOn(clock, "nextTurn").mockImplementation((task) => void put.push(task))
  const begin = (): Buffer => client.requestOf(ListOffsets, 1, allAt("orders", startMs))
  const answered = client.responses.length
  client.write(Buffer.concat([begin(), begin()]))
  await until(() => put.length > 0)
  for (let turn = 0; turn < 10; turn++) for (const task of put.splice(0)) task()
  expect(looked).toHaveBeenCalledTimes(11)
  for (let turn = 10; turn < partitions; turn++) for (const task of put.splice(0)) task()
  expect(looked).toHaveBeenCalledTimes(partitions + 1)
  while (put.length > 0) for (const task of put.splice(0)) task()
  expect(looked).toHaveBeenCalledTimes(2 * partitions)
  await until(() => client.responses.length === answered + 2)
})
