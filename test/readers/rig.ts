/**
 * Durable readers of a stream over MQTT, of QoS 1 and 2, while the server and they themselves are killed (`kill -9`) again and again: of QoS 2
 * each record comes once, of QoS 1 none is missing, and on a connection those of a partition come in order.
 * `--kills N` (10): so many of the server, and as many of each reader. `--seed N`. `--wrong loses|forgets` makes the readers do wrong,
 * to see the checks fail. Exits with 0 only if all holds.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import mqtt from "mqtt"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { tolerateLostConnections } from "../support/overRestarts.ts"
import { randomOf } from "../support/random.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"
import { readLog, type Wrong } from "./readLog.ts"

const stream = "readings"
const partitions = 8
const devices = 20
/** Messages before the first kill, and between two of them. */
const historyMessages = 1000
const messagesPerKill = 150
const betweenMsMax = 400
const allWithinMs = 120_000
/** More than readers lose that lose records. */
const lostShareMax = 0.02
const faultsShown = 20

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    wrong: { type: "string", default: "nothing" }
  }
})
tolerateLostConnections()

/** A reader's process, which can be killed and goes on by its file. */
class Reader {
  readonly qos: 1 | 2
  readonly file: string
  readonly #args: ReadonlyArray<string>
  #child: ChildProcess | undefined

  constructor(server: ServerProcess, directory: string, qos: 1 | 2, wrong: Wrong) {
    this.qos = qos
    this.file = path.join(directory, `qos${qos}`)
    const program = path.join(import.meta.dirname, "reader.ts")
    this.#args = [program, String(server.ports.mqtt), `reader-${qos}`, String(qos), stream, this.file, wrong]
  }

  start(): void {
    this.#child = spawn(process.execPath, this.#args, { stdio: "inherit" })
  }

  async kill(): Promise<void> {
    const child = this.#child!
    const ended = once(child, "exit")
    child.kill("SIGKILL")
    await ended
  }

  read(): ReturnType<typeof readLog> {
    return readLog(fs.existsSync(this.file) ? fs.readFileSync(this.file, "utf8") : "")
  }
}

/** All of them acknowledged, over restarts of the server. */
const publish = async (client: mqtt.MqttClient, from: number, count: number): Promise<void> => {
  const one = (n: number) => client.publishAsync(`plant/${n % devices}`, String(n), { qos: 1 })
  await Promise.all(Array.from({ length: count }, (_, i) => one(from + i)))
}

const endOffsets = async (server: ServerProcess): Promise<ReadonlyMap<number, number>> => {
  const admin = kafkajsOf(server.kafka).admin()
  await admin.connect()
  const offsets = await admin.fetchTopicOffsets(stream)
  await admin.disconnect()
  return new Map(offsets.map(({ partition, high }) => [partition, Number(high)]))
}

const missingOf = ({ counts }: ReturnType<typeof readLog>, ends: ReadonlyMap<number, number>): Array<string> => {
  const missing: Array<string> = []
  for (const [partition, end] of ends) {
    for (let offset = 0; offset < end; offset++) {
      if (!counts.has(`${partition}:${offset}`)) missing.push(`${partition}:${offset}`)
    }
  }
  return missing
}

/** What a reader has that it must not, or lacks. */
const faultsOf = ({ qos }: Reader, read: ReturnType<typeof readLog>, ends: ReadonlyMap<number, number>) => {
  const faults = missingOf(read, ends).map((place) => `QoS ${qos}: ${place} is missing`)
  for (const place of read.late) faults.push(`QoS ${qos}: ${place} came behind a later one`)
  for (const [place, count] of read.counts) {
    const [partition, offset] = place.split(":").map(Number) as [number, number]
    if (qos === 2 && count > 1) faults.push(`QoS 2: ${place} came ${count} times`)
    if (offset >= (ends.get(partition) ?? 0)) faults.push(`QoS ${qos}: ${place} is not in the stream`)
  }
  return faults
}

const run = async (kills: number, seed: number, wrong: Wrong): Promise<ReadonlyArray<string>> => {
  const random = randomOf(seed)
  const server = await ServerProcess.start()
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-readers-"))
  const readers = [new Reader(server, directory, 1, wrong), new Reader(server, directory, 2, wrong)]
  const client = mqtt.connect(server.mqttUrl, { clientId: "writes", clean: false, reconnectPeriod: 20 })
  client.on("error", () => undefined)
  try {
    await server.createStream(stream, { filters: ["plant/#"], partitions, key: "topic" })
    await publish(client, 0, historyMessages)
    for (const reader of readers) reader.start()
    let published = historyMessages
    const victims = Array.from({ length: kills }, () => [undefined, ...readers]).flat()
    for (const victim of victims) {
      const written = publish(client, published, messagesPerKill)
      published += messagesPerKill
      await sleep(random() * betweenMsMax)
      await (victim ?? server).kill()
      if (victim === undefined) await server.start()
      else victim.start()
      await written
    }
    const ends = await endOffsets(server)
    const total = [...ends.values()].reduce((sum, end) => sum + end, 0)
    const lost = wrong === "loses" ? total * lostShareMax : 0
    const isThere = (): boolean => readers.every((reader) => missingOf(reader.read(), ends).length <= lost)
    // What is missing then, is told.
    await waitUntil("every record at every reader", allWithinMs, isThere).catch(() => undefined)
    const reads = readers.map((reader) => reader.read())
    const again = [...reads[0]!.counts.values()].filter((count) => count > 1).length
    console.log(
      `${kills} kills of the server and of each of two readers; ${total} records, ${again} of them more than once at QoS 1`
    )
    return readers.flatMap((reader, i) => faultsOf(reader, reads[i]!, ends))
  } finally {
    await Promise.all(readers.map((reader) => reader.kill()))
    await client.endAsync(true)
    await server.dispose()
    fs.rmSync(directory, { recursive: true })
  }
}

const faults = await run(Number(values.kills), Number(values.seed), values.wrong as Wrong)
for (const fault of faults.slice(0, faultsShown)) console.log(fault)
console.log(faults.length === 0 ? "all holds" : `${faults.length} faults`)
process.exitCode = faults.length === 0 ? 0 : 1
