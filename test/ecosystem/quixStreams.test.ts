import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kcatRead } from "../support/kcat.ts"
import { ServerProcess } from "../support/server.ts"
import { EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"
import { publishedRooms, publishRooms, rooms } from "./publishRooms.ts"

const perRoom = 200
const published = publishedRooms(perRoom)
/** The counts of a room whose messages are all counted once. */
const onceEach = Array.from({ length: perRoom }, (_, n) => n + 1)
const waitMsMax = 180_000

describe("QuixStreams, exactly-once, of which an instance is killed", () => {
  let server: ServerProcess
  const states = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-quix-"))
  let started = 0

  /** With a state directory of its own: what it must know of the past it has from its changelog. */
  const start = (): EngineProcess => {
    const state = path.join(states, String(started++))
    const args = [server.kafka, "rooms-app", "rooms", "copies", "counts", state]
    return EngineProcess.python("quixStreams", "count_rooms.py", args)
  }

  /** As a reader of committed records gets them, in the order of each partition. */
  const valuesIn = async (stream: string): Promise<ReadonlyArray<string>> =>
    (await kcatRead(server.kafka, stream)).map(({ value }) => value!.toString())

  /** The counts of every room, in their order. */
  const counts = async (): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
    const records = await kcatRead(server.kafka, "counts")
    return rooms.map((room) =>
      records.filter(({ key }) => key!.toString().endsWith(room)).map(({ value }) => Number(value!.toString()))
    )
  }

  beforeAll(async () => {
    await prepare("quixStreams")
    server = await ServerProcess.start()
    await server.createStream("rooms", { filters: ["building/#"], partitions: 4 })
    for (const name of ["copies", "counts"]) await server.createStream(name, { partitions: 4 })
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    fs.rmSync(states, { recursive: true, force: true })
    await server?.dispose()
  })

  it("every MQTT message is copied and counted once", async () => {
    const [first, second] = [start(), start()]
    await publishRooms(server.mqttUrl, "building", 0, perRoom / 2)
    await first.until("something is copied", waitMsMax, async () => (await valuesIn("copies")).length > 0)
    const publishing = publishRooms(server.mqttUrl, "building", perRoom / 2, perRoom)
    await first.kill()
    start()
    await publishing
    await second.until("all is copied and counted", waitMsMax, async () => {
      const counted = (await counts()).every((each) => (each.at(-1) ?? 0) >= perRoom)
      return counted && (await valuesIn("copies")).length >= published.length
    })
    await EngineProcess.stopAll()
    expect((await valuesIn("copies")).toSorted()).toEqual(published)
    expect(await counts()).toEqual(rooms.map(() => onceEach))
    await expectNoViolations(server)
  })
})
