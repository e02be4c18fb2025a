import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { kcatRead } from "../support/kcat.ts"
import { ServerProcess } from "../support/server.ts"
import { EngineProcess, prepare } from "./EngineProcess.ts"
import { expectNoViolations } from "./expectNoViolations.ts"
import { messageOf, publishedRooms, publishRooms, rooms } from "./publishRooms.ts"

const perRoom = 200
const windowSeconds = 10
/** A last message of each room, whose time ends all windows before. */
const lastSecond = 2000
/** An hour ago: records that are older than a stream's retention would be gone at once, and those of times to come are refused. */
const firstSecond = (Math.floor(Date.now() / 1000 / windowSeconds) - 360) * windowSeconds
const published = [...publishedRooms(perRoom), ...rooms.map((room) => messageOf(room, lastSecond))].toSorted()
/** What each window of each room counts. */
const counted = rooms
  .flatMap((room) =>
    Array.from({ length: perRoom / windowSeconds }, (_, n) => `${room} ${n * windowSeconds} ${windowSeconds}`)
  )
  .toSorted()
const waitMsMax = 180_000
// Flink's serializers look into classes of Java's own.
const opens = ["java.util", "java.lang", "java.time"].map((name) => `--add-opens=java.base/${name}=ALL-UNNAMED`)

/** A checkpoint's number, from its path. */
const numberOf = (name: string): number => Number(/chk-(\d+)/.exec(name)![1])

describe("Flink, with exactly-once sinks, that is killed and goes on from a checkpoint", () => {
  let server: ServerProcess
  const checkpoints = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-flink-"))

  const start = (...checkpoint: ReadonlyArray<string>): EngineProcess => {
    const args = [server.kafka, "rooms", "copies", "counts", checkpoints, String(firstSecond), ...checkpoint]
    return EngineProcess.java("flink", "CountWindows", args, [...opens, "-Xmx384m"])
  }

  /** The values in a stream as a reader of committed records gets them. */
  const valuesIn = async (stream: string): Promise<ReadonlyArray<string>> =>
    (await kcatRead(server.kafka, stream)).map(({ value }) => value!.toString()).toSorted()

  /** The newest checkpoint that is whole. */
  const newestCheckpoint = (): string => {
    const whole = fs
      .readdirSync(checkpoints, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith("/_metadata"))
    return path.join(checkpoints, path.dirname(whole.toSorted((one, other) => numberOf(one) - numberOf(other)).at(-1)!))
  }

  beforeAll(async () => {
    await prepare("flink")
    server = await ServerProcess.start()
    await server.createStream("rooms", { filters: ["building/#"], partitions: 2 })
    for (const name of ["copies", "counts"]) await server.createStream(name, { partitions: 2 })
  })
  afterAll(async () => {
    await EngineProcess.stopAll()
    fs.rmSync(checkpoints, { recursive: true, force: true })
    await server?.dispose()
  })

  it("copies every MQTT message once, and counts each in the window of its time", async () => {
    await publishRooms(server.mqttUrl, "building", 0, perRoom / 2)
    const killed = start()
    await killed.until("something is copied", waitMsMax, async () => (await valuesIn("copies")).length > 0)
    const publishing = publishRooms(server.mqttUrl, "building", perRoom / 2, perRoom)
    await killed.kill()
    const job = start(newestCheckpoint())
    await publishing
    await publishRooms(server.mqttUrl, "building", lastSecond, lastSecond + 1)
    await job.until("all is copied and counted", waitMsMax, async () => {
      const [copies, counts] = await Promise.all(["copies", "counts"].map(valuesIn))
      return copies!.length >= published.length && counts!.length >= counted.length
    })
    await job.stop()
    expect(await valuesIn("copies")).toEqual(published)
    expect(await valuesIn("counts")).toEqual(counted)
    await expectNoViolations(server)
  })
})
