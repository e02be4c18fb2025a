import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kcatRead } from "../support/kcat.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"
import { publishedRooms, publishRooms, rooms } from "./publishRooms.ts"

const perRoom = 200
const published = publishedRooms(perRoom)
/** The counts of a room whose messages are all counted once. */
const onceEach = Array.from({ length: perRoom }, (_, n) => n + 1)
const waitMsMax = 120_000
const guarantees = ["at_least_once", "exactly_once_v2"] as const

describe("Kafka Streams, of which an instance is killed", () => {
  let server: ServerProcess
  const states = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-streams-"))
  let started = 0

  /** An instance of the application, once it has its tasks. */
  const start = async (guarantee: string): Promise<EngineProcess> => {
    const topics = [`rooms-${guarantee}`, `copies-${guarantee}`, `counts-${guarantee}`]
    const args = [server.kafka, `app-${guarantee}`, guarantee, ...topics, path.join(states, `${started++}`)]
    const instance = EngineProcess.java("kafkaStreams", "CountByRoom", args)
    await instance.until("state RUNNING", waitMsMax, () => instance.said().includes("state RUNNING"))
    return instance
  }

  /** The values in a stream, in the order of each partition, as a reader of committed records gets them. */
  const valuesIn = async (stream: string): Promise<ReadonlyArray<string>> =>
    (await kcatRead(server.kafka, stream)).map(({ value }) => value!.toString())

  /** The counts of every room, in their order. */
  const countsIn = async (stream: string): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
    const records = await kcatRead(server.kafka, stream)
    return rooms.map((room) =>
      records.filter(({ key }) => key!.toString() === room).map(({ value }) => Number(value!.toString()))
    )
  }

  beforeAll(async () => {
    await prepare("kafkaStreams")
    server = await ServerProcess.start()
    for (const guarantee of guarantees) {
      await server.createStream(`rooms-${guarantee}`, { filters: [`${guarantee}/#`], partitions: 4 })
      for (const name of ["copies", "counts"]) await server.createStream(`${name}-${guarantee}`, { partitions: 4 })
    }
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    fs.rmSync(states, { recursive: true, force: true })
    await server?.dispose()
  })

  it.each(guarantees)("%s: every MQTT message is copied and counted", async (guarantee) => {
    const [copies, counts] = [`copies-${guarantee}`, `counts-${guarantee}`]
    const instances = await Promise.all([start(guarantee), start(guarantee)])
    await publishRooms(server.mqttUrl, guarantee, 0, perRoom / 2)
    await waitUntil("something is copied", waitMsMax, async () => (await valuesIn(copies)).length > 0)
    const publishing = publishRooms(server.mqttUrl, guarantee, perRoom / 2, perRoom)
    await instances[0].kill()
    await start(guarantee)
    await publishing
    await waitUntil("all is counted", waitMsMax, async () =>
      (await countsIn(counts)).every((each) => (each.at(-1) ?? 0) >= perRoom)
    )
    await waitUntil("all is copied", waitMsMax, async () => (await valuesIn(copies)).length >= published.length)
    await EngineProcess.stopAll()

    const copied = (await valuesIn(copies)).toSorted()
    const isOnce = guarantee === "exactly_once_v2"
    expect(isOnce ? copied : [...new Set(copied)]).toEqual(published)
    if (isOnce) expect(await countsIn(counts)).toEqual(rooms.map(() => onceEach))
    await expectNoViolations(server)
  })
})
