import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kcatRead } from "../support/kcat.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { ConnectWorker } from "./ConnectWorker.ts"
import { EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"
import { publishedRooms, publishRooms } from "./publishRooms.ts"

const portion = 20
const portions = 100
const lines = Array.from({ length: portions * portion }, (_, n) => `line ${String(n).padStart(4, "0")}`)
const textOf = (some: ReadonlyArray<string>): string => some.map((line) => `${line}\n`).join("")
const perRoom = 100
const published = publishedRooms(perRoom)
const waitMsMax = 180_000

interface SourceOffsets {
  readonly offsets: ReadonlyArray<{ readonly partition: { filename: string }; readonly offset: { position: number } }>
}

interface SinkOffsets {
  readonly offsets: ReadonlyArray<{ readonly offset: { readonly kafka_offset: number } }>
}

describe("Kafka Connect, two distributed workers", () => {
  let server: ServerProcess
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-connect-"))
  const [source, sink] = [path.join(directory, "source"), path.join(directory, "sink")]
  const workers: Array<ConnectWorker> = []

  const start = async (): Promise<ConnectWorker> => {
    const properties = { "exactly.once.source.support": "enabled" }
    const worker = await ConnectWorker.start(server.kafka, directory, { properties })
    workers.push(worker)
    return worker
  }

  /** What a reader of committed records gets of what the source has written. */
  const written = async (): Promise<ReadonlyArray<string>> =>
    (await kcatRead(server.kafka, "lines")).map(({ value }) => value!.toString())

  const writtenAll = (count: number): Promise<unknown> =>
    waitUntil(`${count} lines are written`, waitMsMax, async () => (await written()).length >= count)

  /** Portions of the source's lines, one after the other, so that each makes a transaction. */
  const appendLines = async (from: number, until: number): Promise<void> => {
    for (let n = from; n < until; n++) {
      fs.appendFileSync(source, textOf(lines.slice(n * portion, (n + 1) * portion)))
      await sleep(50)
    }
  }

  beforeAll(async () => {
    await prepare("connect")
    server = await ServerProcess.start()
    await server.createStream("lines")
    await server.createStream("rooms", { filters: ["building/#"], partitions: 4 })
    await Promise.all([start(), start()])
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    fs.rmSync(directory, { recursive: true, force: true })
    await server?.dispose()
  })

  it("exactly-once source: each line once, over the kill of the worker that reads them", async () => {
    fs.writeFileSync(source, "")
    await workers[0]!.run("lines", {
      "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
      "exactly.once.support": "required",
      file: source,
      topic: "lines"
    })
    await appendLines(0, portions / 2)
    const appending = appendLines(portions / 2, portions)
    const busy = await workers[0]!.running("lines")
    await waitUntil("some lines are written", waitMsMax, async () => (await written()).length > 0)
    const [killed, left] = workers.toSorted((one) => (one.id === busy ? -1 : 1))
    await killed!.process.kill()
    await left!.running("lines", busy)
    await appending
    await writtenAll(lines.length)
    workers.splice(0, 2, left!)
    await start()
    expect(await written()).toEqual(lines)
    await expectNoViolations(server)
  })

  it("tells the source's offsets, and begins anew where REST sets them", async () => {
    const [worker] = workers as [ConnectWorker]
    const position = textOf(lines).length
    const { offsets } = await worker.request<SourceOffsets>("GET", "/connectors/lines/offsets")
    expect(offsets).toEqual([{ partition: { filename: source }, offset: { position } }])
    await worker.request("PUT", "/connectors/lines/stop")
    const anew = [{ partition: { filename: source }, offset: { position: 0 } }]
    await worker.request("PATCH", "/connectors/lines/offsets", { offsets: anew })
    await worker.request("PUT", "/connectors/lines/resume")
    await writtenAll(2 * lines.length)
    expect(await written()).toEqual([...lines, ...lines])
    await expectNoViolations(server)
  })

  it("sink: a file gets every MQTT message, and the offsets are those of the stream", async () => {
    const [worker] = workers as [ConnectWorker]
    await publishRooms(server.mqttUrl, "building", 0, perRoom)
    await worker.run("rooms", {
      "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
      file: sink,
      topics: "rooms"
    })
    await waitUntil("the offsets of all messages are committed", waitMsMax, async () => {
      const { offsets } = await worker.request<SinkOffsets>("GET", "/connectors/rooms/offsets")
      return offsets.reduce((sum, { offset }) => sum + offset.kafka_offset, 0) === published.length
    })
    expect(fs.readFileSync(sink, "utf8").trimEnd().split("\n").toSorted()).toEqual(published)
    await expectNoViolations(server)
  })
})
