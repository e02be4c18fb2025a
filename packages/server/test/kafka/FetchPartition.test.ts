import { afterEach, expect, it } from "vitest"
import type { BatchRef } from "@logbrook/core/journal/batchRef"
import { FetchPartition } from "../../src/kafka/FetchPartition.ts"
import { startKit, type Kit } from "./kit.ts"

let kit: Kit

afterEach(() => kit.close())

const producer = { id: 7, epoch: 0, baseSequence: 0 }

const refAt = (logId: number, baseOffset: number, own: Partial<BatchRef>): BatchRef => ({
  logId,
  baseOffset,
  count: 1,
  firstTimestampMs: 1,
  maxTimestampMs: 1,
  byteLength: 100,
  crc: 0,
  place: "value",
  chunk: 0,
  position: 0,
  verbatim: true,
  producer: undefined,
  ...own
})

it("has nothing for a reader of committed records where compaction left nothing below the last stable offset", async () => {
  kit = await startKit()
  const stream = await kit.createStream("orders")
  const [logId] = stream.logIds
  const log = kit.broker.shards.logsOf(logId!).log(logId!)
  log.append(1, 1, refAt(logId!, 0, {}))
  // Offsets 1 to 4 are gone, and what is behind them is open.
  log.append(2, 1, refAt(logId!, 5, { producer, isTransactional: true }))
  expect([log.lastStableOffset, log.highWatermark]).toEqual([5, 6])
  const fetched = (fetchOffset: number, isCommittedOnly: boolean) => {
    const asked = { partition: 0, fetchOffset, currentLeaderEpoch: -1, lastFetchedEpoch: -1, partitionMaxBytes: 1e6 }
    const topic = { topic: "orders", topicId: stream.topicId }
    return new FetchPartition(kit.broker.shards, stream, topic, asked, isCommittedOnly)
  }
  const committed = fetched(1, true)
  expect([committed.countReadable(1e6), committed.nextBatchBytes()]).toEqual([0, 0])
  expect(fetched(0, true).countReadable(1e6)).toBe(100)
  expect(fetched(1, false).countReadable(1e6)).toBe(100)
  expect(fetched(1, false).nextBatchBytes()).toBe(100)
  const marker = { producerId: 7, producerEpoch: 0, coordinatorEpoch: 0, outcome: "commit" } as const
  log.append(3, 1, refAt(logId!, 6, { marker }))
  expect([committed.countReadable(1e6), committed.nextBatchBytes()]).toEqual([200, 100])
})
