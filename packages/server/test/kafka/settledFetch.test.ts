import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { noHeaders } from "@logbrook/core/Record"
import { baseOffset, batchesOf, compression, count } from "@logbrook/core/RecordBatch"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startKit, type Kit } from "./kit.ts"
import { fetchOf, only } from "./requests.ts"
import { settleClosed } from "./settleClosed.ts"

const records = 60

/** A stream whose records the server has compressed with zstd when their segment was settled. */
describe("records that the server has compressed", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-settled-"))
  let journal: LmdbJournal
  let kit: Kit

  beforeAll(async () => {
    journal = LmdbJournal.open({ directory, segmentBytes: 20_000, segmentRefsMax: 1e6 })
    kit = await startKit({ journal, settings: { zstdClients: new Set(["reader"]) } })
    const stream = await kit.createStream("sensors", { filters: ["sensors/#"] })
    const { shard } = kit
    const append = (value: string): Promise<void> =>
      new Promise((resolve) => {
        const batch = shard.partitionBatch(stream.logIds[0]!, "test")
        batch.records.append(null, Buffer.from(value), noHeaders, systemClock.nowMs())
        shard.recordsAdded(batch.records.byteLength)
        shard.ack({ acked: () => resolve() }, 0, batch, 0)
      })
    for (let i = 0; i < records; i++) await append(`${i} `.padEnd(1000, "x"))
    await settleClosed(journal, kit)
  })

  afterAll(async () => {
    await kit.close()
    await journal.close()
    fs.rmSync(directory, { recursive: true })
  })

  /** The codecs of what a client gets that says so in ApiVersions, or says nothing, with all offsets dense. */
  const codecs = async (softwareName: string | undefined, version: number): Promise<ReadonlySet<string>> => {
    const client = await kit.connect()
    const name = softwareName === undefined ? {} : { clientSoftwareName: softwareName, clientSoftwareVersion: "1" }
    await client.send(ApiVersions, softwareName === undefined ? 2 : 3, name)
    const { topicId } = kit.broker.directory.byName("sensors")!
    const found = new Set<string>()
    for (let offset = 0; offset < records;) {
      const asked = fetchOf(version >= 13 ? { topicId } : "sensors", { offset })
      const { records: bytes, errorCode } = only(await client.send(Fetch, version, asked))
      expect(errorCode).toBe(0)
      const batches: Array<Uint8Array> = []
      batchesOf(bytes!, (at, length) => batches.push(bytes!.subarray(at, at + length)))
      for (const batch of batches) {
        expect(baseOffset(batch)).toBe(offset)
        offset += count(batch)
        found.add(compression(batch) ?? "another")
      }
    }
    client.socket.destroy()
    return found
  }

  it("go as they are to clients that are known to read them", async () => {
    expect(await codecs("reader", 10)).toContain("zstd")
    expect(await codecs("reader", 17)).toContain("zstd")
  })

  it.each([
    ["of another name", "other", 17],
    ["without a name", undefined, 12],
    ["that ask in a version from before zstd", "reader", 9]
  ])("go plain to clients %s", async (_what, softwareName, version) => {
    expect(await codecs(softwareName, version)).toEqual(new Set(["none"]))
  })
})
