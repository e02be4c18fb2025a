import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { DescribeProducers } from "@logbrook/protocols/kafka/messages/61_DescribeProducers"
import { afterEach, beforeEach, expect, it } from "vitest"
import { batchOf, startKit, startMs, type Kit } from "./kit.ts"
import { produceOf } from "./requests.ts"
import { settleClosed } from "./settleClosed.ts"

let directory: string
let journal: LmdbJournal
let kit: Kit

beforeEach(async () => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-producers-"))
  journal = LmdbJournal.open({ directory, segmentBytes: 1_000_000, segmentRefsMax: 1e6 })
  kit = await startKit({ journal })
})

afterEach(async () => {
  await kit.close()
  await journal.close()
  fs.rmSync(directory, { recursive: true })
})

it("tells the times of the newest producers, as far as 4 MiB of settled runs tell them", async () => {
  const batches = 160
  const batchBytes = 20_000
  const partitions = [0, 1]
  const { logIds } = await kit.createStream("orders", { partitions: partitions.length })
  const client = await kit.connect()
  for (let producerId = 0; producerId < batches; producerId++) {
    const records = [{ value: "x".repeat(batchBytes), timestampMs: startMs + producerId }]
    const batch = batchOf(records, { producerId, producerEpoch: 0, baseSequence: 0 })
    for (const index of partitions) await client.send(Produce, 11, produceOf("orders", batch, { index }))
  }
  await settleClosed(journal, kit)

  const { topics } = await client.send(DescribeProducers, 0, {
    topics: [{ name: "orders", partitionIndexes: partitions }]
  })
  const times = topics[0]!.partitions.map(({ activeProducers }) =>
    activeProducers.map(({ lastTimestamp }) => lastTimestamp)
  )
  const all = Array.from({ length: batches }, (_, producerId) => startMs + producerId)
  expect(times[0]).toEqual(all)
  // The first partition's runs have taken most of the 4 MiB.
  expect(times[1]!.slice(-15)).toEqual(all.slice(-15))
  expect(times[1]).toContain(-1)
  let readBytes = 0
  for (const partition of partitions) {
    const { index } = kit.shard.logs.log(logIds[partition]!)
    for (let at = 0; at < index.count; at++) {
      const { place, baseOffset, count, byteLength } = index.at(at)
      // Each batch has one record, so that offsets are producer ids; the time of a run of one batch is known without it.
      if (place === "run" && count > 1 && times[partition]![baseOffset]! >= 0) readBytes += byteLength
    }
  }
  expect(readBytes).toBeGreaterThanOrEqual(4 * 1024 * 1024)
  expect(readBytes).toBeLessThan(4 * 1024 * 1024 + 64 * 1024)
})
