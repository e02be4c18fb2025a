import { spawn, type ChildProcessByStdio } from "node:child_process"
import { once } from "node:events"
import type { Readable } from "node:stream"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { sysTopics } from "@logbrook/server/mqtt/sysValues"
import { kcatRead } from "../support/kcat.ts"
import { outputOf, runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

const deliveryTimeoutMs = 5000

/** A running mosquitto_sub; what it prints, line by line. */
class Subscriber {
  readonly lines: Array<string> = []
  readonly #child: ChildProcessByStdio<null, Readable, Readable>
  #isSubscribed = false

  constructor(port: number, args: ReadonlyArray<string>) {
    // Unbuffered: its own buffer is only written when it ends.
    this.#child = spawn(
      "stdbuf",
      ["-oL", "-eL", "mosquitto_sub", "-h", "127.0.0.1", "-p", String(port), "-d", ...args],
      {
        stdio: ["ignore", "pipe", "pipe"]
      }
    )
    let rest = ""
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n")
      rest = lines.pop()!
      for (const line of lines) {
        if (line.startsWith("Subscribed (")) this.#isSubscribed = true
        else if (line.startsWith("> ")) this.lines.push(line.slice(2))
      }
    })
  }

  async subscribed(): Promise<this> {
    await waitUntil("SUBACK", deliveryTimeoutMs, () => this.#isSubscribed)
    return this
  }

  async received(count: number): Promise<ReadonlyArray<string>> {
    await waitUntil(
      `${count} deliveries, there are ${this.lines.length}`,
      deliveryTimeoutMs,
      () => this.lines.length >= count
    )
    return this.lines
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, "exit")
    this.#child.kill(signal)
    await exited
  }
}

/** Of a retained message of QoS 0 under $SYS, by `-F "> %r %q %t %p"`. */
const topicOf = (line: string) => /^1 0 (.+) \S+$/.exec(line.replace(/ seconds$/, ""))?.[1]

describe("mosquitto's clients", () => {
  let server: ServerProcess
  const subscribers: Array<Subscriber> = []
  const at = (): ReadonlyArray<string> => ["-h", "127.0.0.1", "-p", String(server.ports.mqtt)]
  const publish = (...args: ReadonlyArray<string>): Promise<Buffer> =>
    outputOf("mosquitto_pub", [...at(), ...args], { timeoutMs: 10_000 })
  const subscribe = (...args: ReadonlyArray<string>): Promise<Subscriber> => {
    const subscriber = new Subscriber(server.ports.mqtt, args)
    subscribers.push(subscriber)
    return subscriber.subscribed()
  }

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream("kept", { filters: ["kept/#"], partitions: 1 })
  })
  afterAll(async () => {
    await Promise.all(subscribers.map((subscriber) => subscriber.end()))
    await server?.dispose()
  })

  for (const version of ["mqttv31", "mqttv311", "mqttv5"]) {
    for (const qos of ["0", "1", "2"]) {
      it(`${version}, QoS ${qos}: delivered once with its QoS, in order`, async () => {
        const topic = `qos/${version}/${qos}`
        const subscriber = await subscribe("-V", version, "-t", topic, "-q", "2", "-F", "> %q %t %p")
        const input = Array.from({ length: 50 }, (_, n) => `${n}\n`).join("")
        await outputOf("mosquitto_pub", [...at(), "-V", version, "-t", topic, "-q", qos, "-l"], { input })
        await subscriber.received(50)
        expect(subscriber.lines).toEqual(Array.from({ length: 50 }, (_, n) => `${qos} ${topic} ${n}`))
      })
    }
  }

  it("wildcards: + is one level, # the rest with its parent, and neither is for $ topics", async () => {
    const one = await subscribe("-t", "w/+/c", "-F", "> %t")
    const rest = await subscribe("-t", "w/a/#", "-F", "> %t")
    const all = await subscribe("-t", "#", "-F", "> %t")
    for (const topic of ["w/a/c", "w/a", "w/a/b/c", "w/b/c", "w/last/c"])
      await publish("-t", topic, "-m", "x", "-q", "1")
    await one.received(3)
    await rest.received(3)
    await waitUntil("the last one", deliveryTimeoutMs, () => all.lines.includes("w/last/c"))
    expect(one.lines).toEqual(["w/a/c", "w/b/c", "w/last/c"])
    expect(rest.lines).toEqual(["w/a/c", "w/a", "w/a/b/c"])
    expect(all.lines.filter((topic) => topic.startsWith("$"))).toEqual([])
    await all.end()
  })

  it("$SYS/#: the server's figures at once, as retained messages of QoS 0, each once", async () => {
    const subscriber = await subscribe("-t", "$SYS/#", "-F", "> %r %q %t %p")
    await subscriber.received(sysTopics.length)
    const [version, ...rest] = subscriber.lines.slice(0, sysTopics.length)
    expect(version).toMatch(/^1 0 \$SYS\/broker\/version logbrook version \d/)
    expect(rest.map(topicOf)).toEqual(sysTopics.slice(1))
  })

  it("retained: given to a later subscriber with the flag, replaced, and cleared by an empty message", async () => {
    await publish("-t", "r/1", "-m", "first", "-r", "-q", "1")
    await publish("-t", "r/1", "-m", "second", "-r", "-q", "1")
    const late = await subscribe("-t", "r/#", "-q", "1", "-F", "> %r %t %p")
    expect(await late.received(1)).toEqual(["1 r/1 second"])
    await publish("-t", "r/1", "-n", "-r", "-q", "1")
    await publish("-t", "r/2", "-m", "mark", "-r", "-q", "1")
    const later = await subscribe("-t", "r/#", "-q", "1", "-F", "> %r %t %p")
    expect(await later.received(1)).toEqual(["1 r/2 mark"])
  })

  it("a will is published when the connection breaks, and not after a DISCONNECT", async () => {
    const watcher = await subscribe("-t", "will/#", "-q", "1", "-F", "> %t %p")
    const withWill = (id: string): Promise<Subscriber> =>
      subscribe("-i", id, "-t", "none", "--will-topic", `will/${id}`, "--will-payload", "gone", "--will-qos", "1")
    const leaves = await withWill("leaves")
    const breaks = await withWill("breaks")
    await leaves.end("SIGTERM")
    await breaks.end("SIGKILL")
    await watcher.received(1)
    await publish("-t", "will/end", "-m", "mark", "-q", "1")
    await watcher.received(2)
    expect(watcher.lines).toEqual(["will/breaks gone", "will/end mark"])
  })

  it("MQTT 5 properties reach subscribers and the stream", async () => {
    const properties = [
      ["user-property", "colour", "red"],
      ["user-property", "colour", "blue"],
      ["content-type", "text/plain"],
      ["response-topic", "reply/to/me"],
      ["correlation-data", "c-1"],
      ["payload-format-indicator", "1"]
    ].flatMap((property) => ["-D", "publish", ...property])
    const subscriber = await subscribe("-V", "5", "-t", "kept/#", "-q", "1", "-F", "> %t|%p|%C|%R|%D|%F|%P")
    await publish("-V", "5", "-i", "sender", "-t", "kept/p", "-m", "warm", "-q", "1", ...properties)
    expect(await subscriber.received(1)).toEqual(["kept/p|warm|text/plain|reply/to/me|c-1|1|colour:red colour:blue"])
    const [record] = await kcatRead(server.kafka, "kept")
    expect({ ...record, timestampMs: 0 }).toMatchObject({
      partition: 0,
      offset: 0,
      key: Buffer.from("sender"),
      value: Buffer.from("warm")
    })
    expect(record!.headers!.toSorted()).toEqual(
      [
        ["colour", "blue"],
        ["colour", "red"],
        ["mqtt.clientid", "sender"],
        ["mqtt.content-type", "text/plain"],
        ["mqtt.correlation-data", "c-1"],
        ["mqtt.payload-format", "1"],
        ["mqtt.qos", "1"],
        ["mqtt.response-topic", "reply/to/me"],
        ["mqtt.retain", "0"],
        ["mqtt.topic", "kept/p"]
      ].toSorted()
    )
    expect(record!.headers!.filter(([name]) => name === "colour")).toEqual([
      ["colour", "red"],
      ["colour", "blue"]
    ])
  })

  it("a durable session gets what came while it was away, also over a restart of the server", async () => {
    const durable = ["-i", "durable", "-c", "-t", "away/#", "-q", "1", "-F", "> %p"]
    const first = await subscribe(...durable)
    await first.end()
    await publish("-t", "away/1", "-m", "one", "-q", "1")
    await server.kill()
    await server.start()
    await publish("-t", "away/2", "-m", "two", "-q", "2")
    const back = await subscribe(...durable)
    expect(await back.received(2)).toEqual(["one", "two"])
  })

  it("what no stream may be called, or read, is refused", async () => {
    const refused = await runCommand(
      "mosquitto_pub",
      [...at(), "-V", "5", "-t", "$stream/kept", "-m", "x", "-q", "1", "-d"],
      { timeoutMs: 10_000 }
    )
    expect(refused.stdout.toString("utf8") + refused.stderr).toMatch(/Not authorized|RC:135|Warning: Publish/)
  })
})
