import { expect, it } from "vitest"
import { temporaryDirectory } from "../support/temporary.ts"
import { inProcess } from "./inProcess.ts"
import { KeyedLoad } from "./KeyedLoad.ts"

/** Key, value, framing: what a record takes at most. */
const recordBytes = 150
const segmentBytes = 2 * 1024 * 1024

it("200,000 records with 10,000 keys become the newest of each key, in bounded space", async () => {
  const keys = 10_000
  const load = new KeyedLoad({
    directory: temporaryDirectory(),
    segmentBytes,
    keys,
    mapBytesMax: 64 * 1024 * 1024,
    work: inProcess()
  })
  await load.append(200_000)
  await load.compactAll()
  const { compacted, written } = load.check()
  expect(compacted).toBeGreaterThan(keys)
  expect(compacted).toBeLessThanOrEqual(2 * keys + 2)
  const { figures, diskBytes } = load
  expect(figures.compactedSegments).toBeGreaterThan(1)
  // Of the newest records, the segment that is written, and two files for those to come.
  expect(diskBytes).toBeLessThan((compacted + written) * recordBytes + 4 * segmentBytes)
  await load.close()
})

it("a table with room for a third of the keys takes several compactions, and comes to the same", async () => {
  const keys = 10_000
  const mapBytesMax = 4096 * 24
  const load = new KeyedLoad({ directory: temporaryDirectory(), segmentBytes, keys, mapBytesMax, work: inProcess() })
  await load.append(50_000)
  await load.compactAll()
  expect(load.check().compacted).toBeLessThanOrEqual(2 * keys + 2)
  await load.close()
})
