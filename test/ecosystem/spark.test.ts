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
const waitMsMax = 180_000
// What Spark's own scripts open of Java.
const opens = ["java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util"]
  .concat(["java.util.concurrent", "java.util.concurrent.atomic", "sun.nio.ch", "sun.nio.cs", "sun.util.calendar"])
  .map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`)

describe("Spark structured streaming that is killed and goes on from its checkpoints", () => {
  let server: ServerProcess
  const checkpoints = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-spark-"))

  const start = (): EngineProcess => {
    const args = [server.kafka, "rooms", "copies", "counts", checkpoints]
    return EngineProcess.java("spark", "StreamRooms", args, [...opens, "-Xmx600m"])
  }

  const copies = async (): Promise<ReadonlySet<string>> =>
    new Set((await kcatRead(server.kafka, "copies")).map(({ value }) => value!.toString()))

  /** The counts of every room, in their order. */
  const counts = async (): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
    const records = await kcatRead(server.kafka, "counts")
    return rooms.map((room) =>
      records.filter(({ key }) => key!.toString() === room).map(({ value }) => Number(value!.toString()))
    )
  }

  beforeAll(async () => {
    await prepare("spark")
    server = await ServerProcess.start()
    await server.createStream("rooms", { filters: ["building/#"], partitions: 4 })
    for (const name of ["copies", "counts"]) await server.createStream(name, { partitions: 2 })
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    fs.rmSync(checkpoints, { recursive: true, force: true })
    await server?.dispose()
  })

  it("every MQTT message is copied, and counted once", async () => {
    await publishRooms(server.mqttUrl, "building", 0, perRoom / 2)
    const killed = start()
    await killed.until("something is counted", waitMsMax, async () => (await counts()).some((each) => each.length > 0))
    const publishing = publishRooms(server.mqttUrl, "building", perRoom / 2, perRoom)
    await killed.kill()
    const job = start()
    await publishing
    await job.until("all is copied and counted", waitMsMax, async () => {
      const isCounted = (await counts()).every((each) => (each.at(-1) ?? 0) >= perRoom)
      return isCounted && (await copies()).size >= published.length
    })
    await job.stop()
    // A batch that was under way is written again: the sink is at-least-once, and what is counted is exact.
    expect([...(await copies())].toSorted()).toEqual(published)
    expect((await counts()).map((each) => each.at(-1))).toEqual(rooms.map(() => perRoom))
    await expectNoViolations(server)
  })
})
