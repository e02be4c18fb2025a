import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { aKitForEach } from "./aKitForEach.ts"
import { startKit, startMs, type Kit, type RawClient } from "./kit.ts"
import { fetchOf, only } from "./requests.ts"
import { settleClosed } from "./settleClosed.ts"
import { readCommitted, TransactionalWriter } from "./transactionsKit.ts"

let kit: Kit
let client: RawClient

aKitForEach((newKit, newClient) => {
  kit = newKit
  client = newClient
})

const writerOf = async (name: string): Promise<TransactionalWriter> => {
  const { logIds } = await kit.createStream(name)
  return new TransactionalWriter(kit, logIds[0]!)
}

const fetch = async (isolationLevel: number, offset = 0) => {
  const found = only(await client.send(Fetch, 11, fetchOf("orders", { isolationLevel, offset })))
  const { errorCode, highWatermark, lastStableOffset, records, abortedTransactions } = found
  expect(errorCode).toBe(0)
  return { highWatermark, lastStableOffset, bytes: records?.length ?? 0, abortedTransactions }
}

const abortedFrom = async (offset: number) => (await fetch(1, offset)).abortedTransactions

const listed = async (timestamp: number, isolationLevel: number, version = 5) => {
  const topics = [{ name: "orders", partitions: [{ partitionIndex: 0, timestamp }] }]
  const response = await client.send(ListOffsets, version, { replicaId: -1, isolationLevel, topics })
  const { errorCode, offset } = response.topics[0]!.partitions[0]!
  expect(errorCode).toBe(0)
  return offset
}

describe("a reader of committed records", () => {
  it("reads up to the last stable offset; others read on, and are told of no aborted transactions", async () => {
    const writer = await writerOf("orders")
    await writer.batch(1, ["a"], false)
    await writer.batch(2, ["b", "c"])
    await writer.batch(1, ["d"], false)
    const uncommitted = await fetch(0)
    const committed = await fetch(1)
    expect(uncommitted).toMatchObject({ highWatermark: 4, lastStableOffset: 1, abortedTransactions: null })
    expect(committed).toMatchObject({ highWatermark: 4, lastStableOffset: 1, abortedTransactions: [] })
    expect(committed.bytes).toBeLessThan(uncommitted.bytes)
    expect(await fetch(1, 1)).toMatchObject({ bytes: 0, abortedTransactions: [] })
    expect(await fetch(1, 4)).toMatchObject({ bytes: 0, abortedTransactions: [] })
  })

  it("is told of each aborted transaction of which anything is in what it gets", async () => {
    const writer = await writerOf("orders")
    await writer.batch(2, ["b"])
    await writer.batch(3, ["c"])
    await writer.end(2, "abort")
    await writer.end(3, "commit")
    await writer.batch(2, ["d"])
    await writer.end(2, "abort")
    const first = { producerId: 2, firstOffset: 0 }
    const second = { producerId: 2, firstOffset: 4 }
    expect(await abortedFrom(0)).toEqual([first, second])
    expect(await abortedFrom(2)).toEqual([first, second])
    expect(await abortedFrom(3)).toEqual([second])
    expect(await abortedFrom(5)).toEqual([second])
  })

  it("that waits is woken by a marker, not by records of an open transaction", async () => {
    const writer = await writerOf("orders")
    await writer.batch(2, ["b"])
    const waiting = client.send(Fetch, 11, fetchOf("orders", { isolationLevel: 1, maxWaitMs: 20_000 }))
    await writer.batch(2, ["c"])
    await writer.batch(2, ["d"])
    expect(client.responses).toHaveLength(0)
    await writer.end(2, "commit")
    const found = only(await waiting)
    expect([found.highWatermark, found.lastStableOffset]).toEqual([4, 4])
  })

  it("is told in a session that the last stable offset has moved", async () => {
    const writer = await writerOf("orders")
    await writer.batch(2, ["b"])
    const request = { ...fetchOf("orders", { isolationLevel: 1, offset: 0 }), sessionId: 0, sessionEpoch: 0 }
    const { sessionId, ...opened } = await client.send(Fetch, 11, request)
    expect(only(opened)).toMatchObject({ highWatermark: 1, lastStableOffset: 0 })
    const next = (sessionEpoch: number) => client.send(Fetch, 11, { ...request, sessionId, sessionEpoch, topics: [] })
    expect((await next(1)).responses).toEqual([])
    await writer.end(2, "abort")
    const news = only(await next(2))
    expect(news).toMatchObject({ highWatermark: 2, lastStableOffset: 2 })
    expect(news.abortedTransactions).toEqual([{ producerId: 2, firstOffset: 0 }])
  })

  it("finds the end, and records by their times, below the last stable offset", async () => {
    const writer = await writerOf("orders")
    await writer.batch(1, ["a"], false)
    await writer.batch(2, ["b"])
    expect([await listed(-1, 0), await listed(-1, 1), await listed(-2, 1)]).toEqual([2, 1, 0])
    expect([await listed(1, 0), await listed(1, 1)]).toEqual([0, 0])
    expect([await listed(-3, 0, 7), await listed(-3, 1, 7)]).toEqual([0, 0])
    await writer.end(2, "commit")
    expect([await listed(-1, 0), await listed(-1, 1)]).toEqual([3, 3])
    // The transaction's end is a record among others here, as Kafka has it.
    expect([await listed(-3, 0, 7), await listed(-3, 1, 7)]).toEqual([2, 2])
    expect([await listed(startMs + 1, 0), await listed(startMs + 1, 1)]).toEqual([2, 2])
  })

  it("is not given a record by its time that is not decided", async () => {
    const writer = await writerOf("orders")
    await writer.batch(2, ["b"])
    expect([await listed(1, 0), await listed(1, 1), await listed(-3, 1, 7)]).toEqual([0, -1, -1])
  })
})

const producers = [1, 2, 3, 4]

/** Transactions that overlap, of which a third is aborted, and one that stays open at the end. */
const writeMany = async (writer: TransactionalWriter): Promise<void> => {
  for (let i = 0; i < 160; i++) {
    const producerId = producers[(i * 7) % 4]!
    await writer.batch(producerId, [`${i} `.padEnd(300 + (i % 5) * 700, "x"), `${i}b`])
    if (i % 3 === 1) await writer.end(producers[(i * 5) % 4]!, i % 9 === 1 ? "abort" : "commit")
    if (i % 11 === 0) await writer.batch(9, [`plain ${i}`], false)
  }
  for (const producerId of producers.slice(1)) await writer.end(producerId, producerId === 2 ? "abort" : "commit")
}

describe("transactions on the disk", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-transactions-"))
  let journal: LmdbJournal
  let own: Kit
  let writer: TransactionalWriter

  const open = async (): Promise<void> => {
    journal = LmdbJournal.open({ directory, segmentBytes: 40_000, segmentRefsMax: 1e6 })
    own = await startKit({ journal })
  }

  const close = async (): Promise<void> => {
    await own.close()
    await journal.close()
  }

  beforeAll(async () => {
    await open()
    const { logIds } = await own.createStream("orders")
    writer = new TransactionalWriter(own, logIds[0]!)
    await writeMany(writer)
  })

  afterAll(async () => {
    await close()
    fs.rmSync(directory, { recursive: true })
  })

  const compare = async (): Promise<void> => {
    const reader = await own.connect()
    const { lastStableOffset } = writer
    expect(lastStableOffset).toBeLessThan(writer.endOffset)
    for (const [fromOffset, maxBytes] of [
      [0, 1_000_000],
      [0, 1],
      [17, 5000],
      [101, 5000],
      [lastStableOffset - 1, 5000]
    ] as const) {
      const found = await readCommitted(reader, "orders", fromOffset, maxBytes)
      expect(found.values).toEqual(writer.committedFrom(fromOffset))
      expect([found.position, found.lastStableOffset]).toEqual([lastStableOffset, lastStableOffset])
    }
  }

  it("are read as they were written; so they are when their segments are settled, and behind a restart", async () => {
    expect(writer.committedFrom(0).length).toBeGreaterThan(50)
    await compare()
    await settleClosed(journal, own)
    await compare()
    await close()
    await open()
    await compare()
  })
})
