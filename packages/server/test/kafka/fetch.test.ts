import { baseOffset, batchesOf, lastOffset } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { batchOf, startKit, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, only, produceOf } from "./requests.ts"

let kit: Kit
let client: RawClient
let topicId: string

beforeEach(async () => {
  kit = await startKit()
  client = await kit.connect()
  topicId = (await kit.createStream("orders", { partitions: 4 })).topicId
})

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
  expect(kit.lines.filter(({ level }) => level === "error")).toEqual([])
})

const produce = async (values: ReadonlyArray<string>, index = 0) => {
  const other = await kit.connect()
  const { responses } = await other.send(Produce, 9, produceOf("orders", batchOf(values), { index }))
  expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
}

const rangesOf = (records: Uint8Array | null): ReadonlyArray<readonly [number, number]> => {
  const ranges: Array<readonly [number, number]> = []
  batchesOf(records!, (at) => ranges.push([baseOffset(records!, at), lastOffset(records!, at)]))
  return ranges
}

const timed = async <A>(run: () => Promise<A>): Promise<readonly [A, number]> => {
  const startedMs = performance.now()
  return [await run(), performance.now() - startedMs]
}

const codeAt = async (offset: number) => only(await client.send(Fetch, 11, fetchOf("orders", { offset }))).errorCode

const askSession = async (sessionId: number, sessionEpoch: number) => {
  const response = await client.send(Fetch, 11, { ...fetchOf("orders"), sessionId, sessionEpoch })
  return [response.errorCode, response.sessionId, response.responses.length]
}

describe("Fetch", () => {
  it("reads in every version, with all offsets filled (traps 17, 28)", async () => {
    await produce(["a", "b"])
    for (let version = 4; version <= 18; version++) {
      const asked = version >= 13 ? { topicId } : "orders"
      const response = await client.send(Fetch, version, fetchOf(asked))
      const { records, ...partition } = only(response)
      expect(response.sessionId).toBe(0)
      expect(partition).toMatchObject({ errorCode: 0, highWatermark: 2, lastStableOffset: 2 })
      expect(partition.logStartOffset).toBe(version >= 5 ? 0 : -1)
      expect(rangesOf(records)).toEqual([[0, 1]])
    }
  })

  it("is refused to whoever asks as a replica: there are none", async () => {
    await produce(["a"])
    const asReplica = { replicaId: 5, replicaState: { replicaId: 5, replicaEpoch: -1 } }
    for (const version of [11, 18]) {
      const asked = version >= 13 ? { topicId } : "orders"
      const other = await kit.connect()
      const response = await other.send(Fetch, version, { ...fetchOf(asked), ...asReplica })
      expect([response.errorCode, response.responses.length]).toEqual([KafkaError.CLUSTER_AUTHORIZATION_FAILED, 0])
    }
  })

  it("never trims inside a batch (trap 26)", async () => {
    await produce(["a", "b", "c"])
    await produce(["d"])
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders", { offset: 1 })))
    expect(rangesOf(records)).toEqual([
      [0, 2],
      [3, 3]
    ])
  })

  it("answers fetchBytesMax and after fetchWaitMsMax at most, whatever is asked", async () => {
    await kit.close()
    kit = await startKit({ limits: { fetchBytesMax: 12_000, fetchWaitMsMax: 100 } })
    client = await kit.connect()
    await kit.createStream("orders", { partitions: 4 })
    for (const value of ["a", "b", "c"]) await produce([value.repeat(5000)])
    expect(rangesOf(only(await client.send(Fetch, 11, fetchOf("orders"))).records)).toEqual([
      [0, 0],
      [1, 1]
    ])
    const [, tookMs] = await timed(() => client.send(Fetch, 11, fetchOf("orders", { offset: 3, maxWaitMs: 20_000 })))
    expect(tookMs).toBeGreaterThanOrEqual(95)
    expect(tookMs).toBeLessThan(10_000)
  })

  it("answers at least one whole batch, however little is allowed (trap 23)", async () => {
    await produce(["x".repeat(5000)])
    await produce(["y".repeat(5000)])
    const limits = { maxBytes: 10, partitionMaxBytes: 10 }
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders", limits)))
    expect(rangesOf(records)).toEqual([[0, 0]])
  })

  it("joins many large batches without changing them", async () => {
    for (let i = 0; i < 6; i++) await produce([`${i}`.repeat(5000)])
    const { records } = only(await client.send(Fetch, 11, fetchOf("orders", { offset: 2 })))
    expect(rangesOf(records)).toEqual([2, 3, 4, 5].map((offset) => [offset, offset]))
  })

  it("stays within max_bytes over several partitions, and begins elsewhere each time (trap 25)", async () => {
    for (const index of [0, 1, 2, 3]) await produce(["z".repeat(3000)], index)
    const whole = fetchOf("orders", { maxBytes: 4000 })
    const asked = whole.topics[0]!.partitions[0]!
    const partitions = [0, 1, 2, 3].map((partition) => ({ ...asked, partition }))
    const served: Array<ReadonlyArray<number>> = []
    for (let i = 0; i < 4; i++) {
      const response = await client.send(Fetch, 11, { ...whole, topics: [{ topic: "orders", partitions }] })
      const answered = response.responses[0]!.partitions
      expect(answered.map(({ partitionIndex }) => partitionIndex)).toEqual([0, 1, 2, 3])
      served.push(answered.filter(({ records }) => records!.length > 0).map(({ partitionIndex }) => partitionIndex))
    }
    expect(served).toEqual([[0], [1], [2], [3]])
  })

  it("refuses what is below the start or above the end", async () => {
    await produce(["a", "b"])
    expect(await codeAt(2)).toBe(0)
    expect(await codeAt(3)).toBe(KafkaError.OFFSET_OUT_OF_RANGE)
    for (const offset of [-1, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]) {
      expect(await codeAt(offset)).toBe(KafkaError.OFFSET_OUT_OF_RANGE)
    }
    const logId = kit.broker.directory.byName("orders")!.logIds[0]!
    await kit.ask(`partition/${logId}`, { _tag: "MoveLogStart", offset: 2, reason: "test" })
    expect(await codeAt(1)).toBe(KafkaError.OFFSET_OUT_OF_RANGE)
    expect(await codeAt(2)).toBe(0)
  })

  it("knows unknown names and ids", async () => {
    expect(only(await client.send(Fetch, 12, fetchOf("nowhere"))).errorCode).toBe(3)
    expect(only(await client.send(Fetch, 12, fetchOf("orders", { partition: 9 }))).errorCode).toBe(3)
    expect(only(await client.send(Fetch, 13, fetchOf({ topicId: zeroUuid }))).errorCode).toBe(100)
    expect(only(await client.send(Fetch, 13, fetchOf({ topicId }, { partition: -1 }))).errorCode).toBe(3)
  })

  it("checks leader epochs, and tells where the client's log diverges", async () => {
    await produce(["a"])
    const { epoch } = kit.shard
    const codeOf = async (currentLeaderEpoch: number) =>
      only(await client.send(Fetch, 11, fetchOf("orders", { currentLeaderEpoch }))).errorCode
    expect(await codeOf(epoch)).toBe(0)
    expect(await codeOf(epoch - 1)).toBe(KafkaError.FENCED_LEADER_EPOCH)
    expect(await codeOf(epoch + 1)).toBe(KafkaError.UNKNOWN_LEADER_EPOCH)
    const same = only(await client.send(Fetch, 12, fetchOf("orders", { lastFetchedEpoch: epoch })))
    expect([same.divergingEpoch, rangesOf(same.records)]).toEqual([{ epoch: -1, endOffset: -1 }, [[0, 0]]])
    const other = only(await client.send(Fetch, 12, fetchOf("orders", { lastFetchedEpoch: epoch + 4 })))
    // An epoch that never was looks in the answer like no divergence: nothing is read.
    expect([other.errorCode, other.divergingEpoch, other.records!.length]).toEqual([0, { epoch: -1, endOffset: -1 }, 0])
  })

  it("refuses sessions that it never gave (traps 21, 22)", async () => {
    await produce(["a"])
    expect(await askSession(0, -1)).toEqual([0, 0, 1])
    for (const [id, epoch] of [
      [0, 3],
      [17, 1],
      [-1, 1],
      [0, -2]
    ] as const) {
      expect(await askSession(id, epoch)).toEqual([KafkaError.FETCH_SESSION_ID_NOT_FOUND, 0, 0])
    }
  })

  it("tells read_committed clients of no aborted transactions", async () => {
    await produce(["a"])
    const committed = only(await client.send(Fetch, 11, fetchOf("orders", { isolationLevel: 1 })))
    expect([committed.abortedTransactions, committed.lastStableOffset]).toEqual([[], 1])
    const uncommitted = only(await client.send(Fetch, 11, fetchOf("orders")))
    expect(uncommitted.abortedTransactions).toBeNull()
    // As Kafka has it.
    expect(only(await client.send(Fetch, 11, fetchOf("nowhere"))).abortedTransactions).toEqual([])
    expect(only(await client.send(Fetch, 11, fetchOf("orders", { offset: 9 }))).abortedTransactions).toBeNull()
  })
})

describe("the long poll (trap 24)", () => {
  it("ends with the append that brings enough", async () => {
    const waiting = timed(() => client.send(Fetch, 11, fetchOf("orders", { maxWaitMs: 10_000 })))
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(client.responses).toHaveLength(0)
    await produce(["a"])
    const [response, ms] = await waiting
    expect(rangesOf(only(response).records)).toEqual([[0, 0]])
    expect(ms).toBeLessThan(9000)
  })

  it("waits for min_bytes over several appends", async () => {
    const waiting = client.send(Fetch, 11, fetchOf("orders", { maxWaitMs: 10_000, minBytes: 500 }))
    await produce(["a"])
    await produce(["b"])
    expect(client.responses).toHaveLength(0)
    await produce(["c".repeat(400)])
    expect(rangesOf(only(await waiting).records)).toHaveLength(3)
  })

  it("ends after max_wait, and then holds on to nothing", async () => {
    const log = kit.shard.logs.log(kit.broker.directory.byName("orders")!.logIds[0]!)
    let waiting = 0
    const { onAppend } = log
    log.onAppend = (wake) => {
      waiting++
      const cancel = onAppend.call(log, wake)
      return () => {
        waiting--
        return cancel()
      }
    }
    const [response, ms] = await timed(() => client.send(Fetch, 11, fetchOf("orders", { maxWaitMs: 60 })))
    expect([only(response).errorCode, only(response).records!.length]).toEqual([0, 0])
    expect(ms).toBeGreaterThanOrEqual(55)
    expect(waiting).toBe(0)
    const other = await kit.connect()
    other.write(other.requestOf(Fetch, 11, fetchOf("orders", { maxWaitMs: 60_000 })))
    await expect.poll(() => waiting).toBe(1)
    other.socket.destroy()
    await expect.poll(() => waiting).toBe(0)
  })

  it("ends when the stream is deleted, and may name a partition twice", async () => {
    const whole = fetchOf("orders", { maxWaitMs: 10_000 })
    const twice = { topic: "orders", partitions: [...whole.topics[0]!.partitions, ...whole.topics[0]!.partitions] }
    const waiting = client.send(Fetch, 11, { ...whole, topics: [twice] })
    await new Promise((resolve) => setTimeout(resolve, 20))
    await kit.ask("catalog/0", { _tag: "DeleteStream", name: "orders" })
    const { partitions } = (await waiting).responses[0]!
    expect(partitions.map(({ errorCode }) => errorCode)).toEqual([3, 3])
  })

  it("goes on when other streams come and go, up to its own time", async () => {
    const answered: Array<string> = []
    const sent = async (name: string, from: RawClient, maxWaitMs: number) => {
      const timing = await timed(() => from.send(Fetch, 11, fetchOf("orders", { maxWaitMs, minBytes: 1000 })))
      answered.push(name)
      return timing
    }
    const waiting = sent("first", client, 1000)
    await new Promise((resolve) => setTimeout(resolve, 600))
    await kit.createStream("another")
    // Due between the first one's own time and that of a wait that began anew.
    const later = sent("later", await kit.connect(), 700)
    await produce(["a"])
    const [response, ms] = await waiting
    expect(rangesOf(only(response).records)).toEqual([[0, 0]])
    expect(ms).toBeGreaterThanOrEqual(990)
    await later
    expect(answered).toEqual(["first", "later"])
  })
})
