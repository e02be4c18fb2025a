import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { systemClock } from "@logbrook/core/Clock"
import { FaultyJournal } from "@logbrook/core/journal/FaultyJournal"
import type { Journal } from "@logbrook/core/journal/Journal"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { baseOffset, batchBytes, batchHeaderBytes, validateProduced } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import * as fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { batchOf, RawClient, startKit, type Kit, type KitOptions } from "./kit.ts"
import { fetchOf, only, produceOf } from "./requests.ts"

// Whatever is given back is written over at once: who still reads it sends or stores bytes that fail their checksum.
const poison = 0xdb
const partitions = 3
const wholeBytes = 16 * 1024 * 1024

interface Sent {
  readonly partition: number
  readonly bytes: number
  /** The batch is refused for its checksum. */
  readonly isSpoilt: boolean
}

type Step =
  | { readonly _tag: "produce"; readonly batches: ReadonlyArray<Sent> }
  | { readonly _tag: "twice"; readonly sent: Sent }
  | { readonly _tag: "nowhere"; readonly bytes: number }
  | { readonly _tag: "fetch"; readonly from: number; readonly how: "quick" | "slow" | "leaves" }
  | { readonly _tag: "wait" }

// Below and above the sizes at which buffers go round, records leave the frame and reads are split.
const batchSize = fc.oneof(
  fc.integer({ min: 4, max: 3000 }),
  fc.integer({ min: 3000, max: 9000 }),
  fc.integer({ min: 9000, max: 200_000 })
)
const sent: fc.Arbitrary<Sent> = fc.record({
  partition: fc.nat(partitions - 1),
  bytes: batchSize,
  isSpoilt: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0)
})
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("produce" as const),
      batches: fc.uniqueArray(sent, { minLength: 1, maxLength: partitions, selector: (each) => each.partition })
    })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("twice" as const), sent }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("nowhere" as const), bytes: batchSize }) },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("fetch" as const),
      from: fc.nat(20),
      how: fc.constantFrom("quick" as const, "slow" as const, "leaves" as const)
    })
  },
  { weight: 2, arbitrary: fc.constant({ _tag: "wait" as const }) }
)

const cleanups: Array<() => unknown> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const lmdbJournal = (): LmdbJournal => {
  const directory = mkdtempSync(join(tmpdir(), "pooled-"))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  const journal = LmdbJournal.open({ directory, segmentBytes: 1024 * 1024, segmentRefsMax: 10_000 })
  cleanups.push(() => journal.close())
  return journal
}

const poisonedKit = async (options: KitOptions): Promise<Kit> => {
  const kit = await startKit(options)
  cleanups.push(() => kit.close())
  kit.shard.logs.buffers.poison = poison
  await kit.createStream("orders", { partitions })
  return kit
}

/** Batches by partition and offset: what has been acknowledged, and what was read. */
class Run {
  readonly #kit: Kit
  readonly #producer: RawClient
  readonly #reader: RawClient
  readonly #acknowledged = new Map<string, Uint8Array>()
  readonly #read: Array<readonly [place: string, batch: Uint8Array]> = []
  readonly #open: Array<Promise<unknown>> = []
  #made = 0

  constructor(kit: Kit, producer: RawClient, reader: RawClient) {
    this.#kit = kit
    this.#producer = producer
    this.#reader = reader
  }

  #batch({ bytes, isSpoilt }: Sent, fields: Parameters<typeof batchOf>[1] = {}): Uint8Array {
    const value = Buffer.alloc(bytes, ++this.#made)
    value.writeUInt32BE(this.#made)
    const batch = batchOf([{ value }], fields)
    if (isSpoilt) batch[batch.length - 1]! ^= 1
    return batch
  }

  take(each: Step): Promise<void> | undefined {
    if (each._tag === "wait") return this.answered()
    if (each._tag === "produce") this.#open.push(this.#produce(each.batches))
    else if (each._tag === "twice") this.#open.push(this.#twice(each.sent))
    else if (each._tag === "nowhere") {
      const batch = this.#batch({ partition: 0, bytes: each.bytes, isSpoilt: false })
      this.#open.push(this.#producer.send(Produce, 9, produceOf("nowhere", batch)))
    } else this.#open.push(each.how === "leaves" ? this.#leave(each.from) : this.#fetch(each.from, each.how === "slow"))
    return undefined
  }

  async answered(): Promise<void> {
    await Promise.all(this.#open.splice(0))
  }

  async #produce(batches: ReadonlyArray<Sent>): Promise<void> {
    const made = batches.map((each) => this.#batch(each))
    const partitionData = batches.map(({ partition }, i) => ({ index: partition, records: made[i]! }))
    const request = { ...produceOf("orders", null), topicData: [{ name: "orders", partitionData }] }
    const { responses } = await this.#producer.send(Produce, 9, request)
    responses[0]!.partitionResponses.forEach(({ index, errorCode, baseOffset: offset }, i) => {
      expect(errorCode).toBe(batches[i]!.isSpoilt ? KafkaError.CORRUPT_MESSAGE : KafkaError.NONE)
      if (errorCode === KafkaError.NONE) this.#acknowledged.set(`${index}/${offset}`, made[i]!)
    })
  }

  async #twice(each: Sent): Promise<void> {
    const init = { transactionalId: null, transactionTimeoutMs: 0 }
    const { producerId, producerEpoch } = await this.#producer.send(InitProducerId, 0, init)
    const batch = this.#batch({ ...each, isSpoilt: false }, { producerId, producerEpoch, baseSequence: 0 })
    const request = produceOf("orders", batch, { index: each.partition })
    const answers = await Promise.all([
      this.#producer.send(Produce, 9, request),
      this.#producer.send(Produce, 9, request)
    ])
    const [first, second] = answers.map(({ responses }) => responses[0]!.partitionResponses[0]!)
    expect([first!.errorCode, second!.errorCode, second!.baseOffset]).toEqual([0, 0, first!.baseOffset])
    this.#acknowledged.set(`${each.partition}/${first!.baseOffset}`, batch)
  }

  #whole(from: number) {
    const asked = (partition: number) =>
      askedPartition(fetchOf("orders", { partition, offset: from, partitionMaxBytes: wholeBytes }))
    return {
      ...fetchOf("orders", { maxBytes: wholeBytes }),
      topics: [{ topic: "orders", partitions: Array.from({ length: partitions }, (_, partition) => asked(partition)) }]
    }
  }

  async #fetch(from: number, isSlow: boolean): Promise<void> {
    const answer = this.#reader.send(Fetch, 11, this.#whole(from))
    for (let pauses = isSlow ? 3 : 0; pauses > 0; pauses--) {
      this.#reader.socket.pause()
      await pause(3)
      this.#reader.socket.resume()
      await pause(0)
    }
    for (const { partitionIndex, records } of (await answer).responses[0]!.partitions) {
      for (const batch of wholeBatches(records ?? new Uint8Array(0))) {
        this.#read.push([`${partitionIndex}/${baseOffset(batch)}`, batch])
      }
    }
  }

  /** Goes when the first bytes of the answer have come. */
  async #leave(from: number): Promise<void> {
    const client = await RawClient.connect(this.#kit.listener.port)
    client.socket.once("data", () => client.socket.destroy())
    await client.send(Fetch, 11, this.#whole(from)).catch(() => undefined)
    client.socket.destroy()
  }

  async check(): Promise<void> {
    await this.answered()
    const seen = this.#read.length
    await this.#fetch(0, false)
    for (const [place, batch] of this.#read) {
      validateProduced(batch)
      // The offset and the epoch before the records are the server's.
      expect(
        Buffer.compare(batch.subarray(batchHeaderBytes), this.#acknowledged.get(place)!.subarray(batchHeaderBytes))
      ).toBe(0)
    }
    expect(new Set(this.#read.slice(seen).map(([place]) => place))).toEqual(new Set(this.#acknowledged.keys()))
    expect(this.#kit.defects).toEqual([])
  }
}

const askedPartition = (request: ReturnType<typeof fetchOf>) => request.topics![0]!.partitions![0]!

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const wholeBatches = (records: Uint8Array): Array<Uint8Array> => {
  const found: Array<Uint8Array> = []
  for (let at = 0; at < records.length; at += found.at(-1)!.length) {
    const length = batchBytes(records, at)
    if (length < batchHeaderBytes || at + length > records.length) throw new Error(`a batch of ${length} bytes`)
    found.push(records.subarray(at, at + length))
  }
  return found
}

const journals: ReadonlyArray<readonly [string, () => Journal]> = [
  ["LMDB", lmdbJournal],
  ["memory", () => new MemoryJournal(systemClock)]
]

describe.each(journals)("buffers that go round, over %s", (_name, makeJournal) => {
  it("never change while a batch is stored, sent or read, whoever is refused, slow or gone", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 10, maxLength: 40, size: "max" }),
        fc.constantFrom(0, 300_000, 32 * 1024 * 1024),
        async (steps, tailBytesMax) => {
          const kit = await poisonedKit({ journal: makeJournal(), limits: { tailBytesMax } })
          const run = new Run(kit, await kit.connect(), await kit.connect())
          for (const each of steps) await run.take(each)
          await run.check()
          for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
        }
      ),
      { numRuns: 25 }
    )
  })
})

describe("buffers that go round", () => {
  it("are not given back for a commit that fails", async () => {
    let isFull = false
    const journal = new FaultyJournal(new MemoryJournal(systemClock), systemClock, () =>
      isFull ? { _tag: "Refuse", detail: "no space" } : undefined
    )
    const kit = await poisonedKit({ journal, limits: { tailBytesMax: 100_000 } })
    const client = await kit.connect()
    const good = batchOf([{ value: Buffer.alloc(50_000, 1) }])
    for (let i = 0; i < 3; i++) await client.send(Produce, 9, produceOf("orders", good))
    const { buffers } = kit.shard.logs
    // What follows takes no buffer: its request's size is another one.
    const freeBytes = buffers.freeBytes
    expect(freeBytes).toBeGreaterThan(50_000)
    isFull = true
    void client
      .send(Produce, 9, produceOf("orders", batchOf([{ value: Buffer.alloc(90_000, 2) }])))
      .catch(() => undefined)
    while (!kit.shard.isPoisoned) await pause(1)
    expect(buffers.freeBytes).toBe(freeBytes)
    const other = await kit.connect()
    const records = only(await other.send(Fetch, 11, fetchOf("orders", { maxBytes: 1 }))).records!
    expect(Buffer.compare(records.subarray(batchHeaderBytes), good.subarray(batchHeaderBytes))).toBe(0)
  })

  it("are used again: the next request and the next response take what the last one had", async () => {
    const kit = await poisonedKit({ limits: { tailBytesMax: 100_000 } })
    const client = await kit.connect()
    const batch = batchOf([{ value: Buffer.alloc(60_000, 1) }])
    for (let i = 0; i < 5; i++) await client.send(Produce, 9, produceOf("orders", batch))
    const { buffers } = kit.shard.logs
    for (let i = 0; i < 5; i++) {
      const freeBytes = buffers.freeBytes
      expect(freeBytes).toBeGreaterThan(60_000)
      await client.send(Produce, 9, produceOf("orders", batch))
      expect(buffers.freeBytes).toBe(freeBytes)
      await client.send(Fetch, 11, fetchOf("orders", { maxBytes: 1 }))
      await pause(5)
      expect(buffers.freeBytes).toBe(freeBytes)
    }
  })

  it("of a large request are not held by a small batch", async () => {
    const kit = await poisonedKit({})
    const client = await kit.connect()
    const small = { index: 0, records: batchOf([{ value: Buffer.alloc(5000, 1) }]) }
    const spoilt = batchOf([{ value: Buffer.alloc(500_000, 2) }])
    spoilt[spoilt.length - 1]! ^= 1
    const partitionData = [small, { index: 1, records: spoilt }]
    const request = { ...produceOf("orders", null), topicData: [{ name: "orders", partitionData }] }
    const { responses } = await client.send(Produce, 9, request)
    expect(responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)).toEqual([0, KafkaError.CORRUPT_MESSAGE])
    expect(kit.shard.logs.buffers.freeBytes).toBeGreaterThan(500_000)
    expect(only(await client.send(Fetch, 11, fetchOf("orders"))).records).toHaveLength(small.records.length)
  })
})
