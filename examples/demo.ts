/**
 * A server, a stream bound to `sensors/+/data`, fifty devices over MQTT, and a group of three Kafka consumers
 * of which one leaves and one is killed. Every message is counted; then the group's history is read from the journal.
 */
import { execFileSync, fork, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as readline from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import mqtt from "mqtt"

const devices = 50
const messagesPerDevice = 200
/** Between two messages of a device: so they still publish while the group rebalances. */
const pauseMs = 40
const root = path.join(import.meta.dirname, "..")
const bin = path.join(root, "packages/server/bundle/bin.js")
const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-demo-"))
/** Any that are free, as the server tells them. */
const ports = { MQTT: "", Kafka: "", HTTP: "" }
const serverUrl = (): string => `http://127.0.0.1:${ports.HTTP}`

const say = (text: string): void => console.log(process.stdout.isTTY ? `\n\u001b[1m${text}\u001b[0m` : `\n${text}`)

const logbrook = (...args: ReadonlyArray<string>): string =>
  execFileSync(process.execPath, [bin, ...args, "--url", serverUrl()], { encoding: "utf8" })

const startServer = async (): Promise<ChildProcess> => {
  const anyPort = ["mqtt", "mqtt-ws", "kafka", "http"].flatMap((name) => [`--${name}-port`, "0"])
  const server = spawn(process.execPath, [bin, "serve", "--data-dir", dataDir, ...anyPort], {
    stdio: ["ignore", "pipe", "ignore"]
  })
  for await (const line of readline.createInterface({ input: server.stdout! })) {
    console.log(line)
    const [, name, port] = /^ {2}(MQTT|Kafka|HTTP) .*:(\d+)$/.exec(line) ?? []
    if (name !== undefined) ports[name as keyof typeof ports] = port!
    if (ports.HTTP !== "" && (await isReady())) break
  }
  server.stdout!.resume()
  return server
}

const isReady = async (): Promise<boolean> => {
  try {
    return (await fetch(`${serverUrl()}/readyz`)).ok
  } catch {
    return false
  }
}

interface Seen {
  readonly partition: number
  readonly offset: number
  readonly key: string
  readonly value: string
}

/** What the group has read: each record once by its place, and how often one came again after a rebalance. */
class Ledger {
  readonly records = new Map<string, Seen>()
  again = 0

  add(seen: Seen): void {
    const place = `${seen.partition}/${seen.offset}`
    if (this.records.has(place)) this.again++
    this.records.set(place, seen)
  }

  /** Devices whose messages did not all come, or not in the order in which they were sent. */
  wrong(): ReadonlyArray<string> {
    const next = new Map<string, number>()
    const inOrder = [...this.records.values()].toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
    const wrong = new Set<string>()
    for (const { key, value } of inOrder) {
      const number = (JSON.parse(value) as { n: number }).n
      if (number !== (next.get(key) ?? 0)) wrong.add(key)
      next.set(key, number + 1)
    }
    for (let d = 0; d < devices; d++) if (next.get(`device-${d}`) !== messagesPerDevice) wrong.add(`device-${d}`)
    return [...wrong]
  }
}

const startConsumer = (name: string, ledger: Ledger): ChildProcess => {
  const child = fork(path.join(import.meta.dirname, "demoConsumer.ts"), [ports.Kafka, name], {
    // kafkajs computes a negative timeout once, of which Node warns.
    execArgv: ["--disable-warning=TimeoutNegativeWarning"]
  })
  child.on("message", (message: Seen | { joined: ReadonlyArray<number> }) => {
    if ("joined" in message)
      console.log(`  ${name} has partitions ${message.joined.toSorted((a, b) => a - b).join(" ") || "none"}`)
    else ledger.add(message)
  })
  return child
}

const publishOne = async (d: number): Promise<void> => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${ports.MQTT}`, { clientId: `device-${d}` })
  for (let n = 0; n < messagesPerDevice; n++) {
    await client.publishAsync(`sensors/${d}/data`, JSON.stringify({ n, celsius: 20 + (n % 5) }), { qos: 1 })
    await sleep(pauseMs)
  }
  await client.endAsync()
}

const publishAll = async (): Promise<void> => {
  await Promise.all(Array.from({ length: devices }, (_, d) => publishOne(d)))
}

/** What changed the group's membership; its thousands of offset commits are in the journal too. */
const groupHistory = (): ReadonlyArray<string> =>
  ["MemberJoined", "MemberLeft", "RebalanceStarted", "RebalanceCompleted"]
    .flatMap((type) => logbrook("journal", "tail", "--actor", "group/dashboard", "--type", type).trimEnd().split("\n"))
    .toSorted((a, b) => Number(a.split("\t")[0]) - Number(b.split("\t")[0]))
    .map((line) => line.replaceAll(/-[0-9a-f-]{36}|\d{4}-\d\d-\d\dT|group\/dashboard\t/g, ""))

const main = async (): Promise<boolean> => {
  say("A server, from an empty directory")
  const server = await startServer()
  say("A stream that keeps every message on sensors/+/data")
  console.log(logbrook("streams", "create", "sensors", "--filter", "sensors/+/data").split("\n\n")[0])

  say("Three Kafka consumers in one group; fifty devices publish with QoS 1")
  const ledger = new Ledger()
  const [ada, bob, cyd] = ["ada", "bob", "cyd"].map((name) => startConsumer(name, ledger))
  const published = publishAll()
  await sleep(3000)
  say("bob leaves")
  bob!.send("leave")
  await sleep(1500)
  say("cyd is killed")
  cyd!.kill("SIGKILL")
  await published
  const total = devices * messagesPerDevice
  for (let i = 0; i < 300 && ledger.records.size < total; i++) await sleep(100)
  ada!.send("leave")
  await once(ada!, "exit")

  const wrong = ledger.wrong()
  say(
    `${ledger.records.size} of ${total} messages read, ${ledger.again} again after a rebalance, in order for ${devices - wrong.length} of ${devices} devices`
  )
  say("Why did the group rebalance? The journal knows:")
  for (const line of groupHistory()) console.log(line)
  server.kill("SIGTERM")
  await once(server, "exit")
  say("And offline, from the directory that is left: does a replay end in the same states?")
  console.log(execFileSync(process.execPath, [bin, "journal", "verify", "--data-dir", dataDir], { encoding: "utf8" }))
  return ledger.records.size === total && wrong.length === 0
}

const isRight = await main()
fs.rmSync(dataDir, { recursive: true, force: true })
process.exit(isRight ? 0 : 1)
