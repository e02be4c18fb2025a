/**
 * Drives mosquitto_sub and mosquitto_pub. A connection is a mosquitto_sub, which begins anew when it gets a further filter; every message is
 * a mosquitto_pub of its own, except by alias, where each topic has one that stays.
 */
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { say, serve, type Words } from "./program.ts"

const options = (named: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> =>
  Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [...name.split(" "), value]))
/** Each line is written at once, not when a buffer is full. */
const run = (command: string, args: ReadonlyArray<string>): ChildProcessWithoutNullStreams => {
  const child = spawn("stdbuf", ["-oL", command, "-h", "127.0.0.1", "-d", ...args])
  child.stderr.pipe(process.stderr)
  return child
}

const clean = (words: Words): boolean => words.get("clean") === "1"

class Connection {
  readonly #words: Words
  readonly #filters: Array<Words>
  #child: ChildProcessWithoutNullStreams | undefined
  /** By topic: a mosquitto_pub that sends it by alias. */
  readonly #publishers = new Map<string, ChildProcessWithoutNullStreams>()

  constructor(words: Words, filters: Array<Words>) {
    this.#words = words
    this.#filters = filters
  }

  #base(id: string): ReadonlyArray<string> {
    const version = this.#words.get("version") === "5" ? "mqttv5" : "mqttv311"
    return options({ "-p": this.#words.get("port"), "-V": version, "-i": id })
  }

  #subArgs(): ReadonlyArray<string> {
    const words = this.#words
    const is5 = words.get("version") === "5"
    const qos = this.#filters.at(-1)?.get("qos") ?? "0"
    const more = is5 ? " ids=%S response=%R correlation=%D" : ""
    return [
      ...this.#base(words.get("id")!),
      ...(clean(words) ? [] : ["-c"]),
      "-q",
      qos,
      "-F",
      `> topic=%t qos=%q retain=%r payload=%p${more}`,
      "-t",
      `programs/${words.get("id")}`,
      ...this.#filters.flatMap((filter) => ["-t", filter.get("filter")!]),
      ...options({
        "-x": is5 ? words.get("expiry") : undefined,
        "-D connect topic-alias-maximum": words.get("aliases"),
        "-D subscribe subscription-identifier": this.#filters.at(-1)?.get("identifier"),
        "--will-topic": words.get("willTopic"),
        "--will-payload": words.get("willPayload"),
        "--will-qos": words.get("willQos"),
        "-D will will-delay-interval": words.get("willDelay")
      })
    ]
  }

  /** Resolves at SUBACK. One that ends by itself, as when MQTT 5's server says that it stops, is run again, as a supervisor would do it. */
  async #start(tellsFirst: boolean): Promise<void> {
    const child = (this.#child = run("mosquitto_sub", this.#subArgs()))
    let connacks = 0
    await new Promise<void>((resolve) => {
      child.on("exit", () => {
        if (this.#child === child) setTimeout(() => void this.#start(true).then(resolve), 200)
      })
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line.includes("received CONNACK (0)") && (connacks++ > 0 || tellsFirst))
          say("connected", { client: this.#words.get("client") })
        if (line.startsWith("Subscribed (")) resolve()
        if (line.startsWith("> ")) this.#sayMessage(line.slice(2).split(" "))
      })
    })
  }

  #sayMessage(words: ReadonlyArray<string>): void {
    const [topic, qos, retain, payload, ...more] = words as [string, string, string, string, ...Array<string>]
    const told = ["message", topic, qos, retain, payload, ...more.filter((word) => !word.endsWith("="))]
    say(told.join(" "), { client: this.#words.get("client") })
  }

  async #stop(): Promise<void> {
    const child = this.#child!
    this.#child = undefined
    const exited = once(child, "exit")
    child.kill("SIGTERM")
    await exited
  }

  connect(): Promise<void> {
    return this.#start(true)
  }

  async subscribe(words: Words): Promise<void> {
    if (this.#words.has("willTopic")) throw new Error("a will is of a connection that stays")
    await this.#stop()
    this.#filters.push(words)
    await this.#start(false)
  }

  async disconnect(): Promise<void> {
    await this.#stop()
    for (const publisher of this.#publishers.values()) publisher.stdin.end()
  }

  #pubArgs(words: Words, id: string): ReadonlyArray<string> {
    return [
      ...this.#base(id),
      "-t",
      words.get("topic")!,
      "-q",
      words.get("qos")!,
      ...(words.get("retain") === "1" ? ["-r"] : []),
      ...options({
        "-D publish response-topic": words.get("response"),
        "-D publish correlation-data": words.get("correlation")
      })
    ]
  }

  async publish(words: Words): Promise<void> {
    if (this.#words.has("byAlias")) return this.#publishByAlias(words)
    const payload = words.get("payload")!
    const args = [...this.#pubArgs(words, `${this.#words.get("id")}-p`), payload === "" ? "-n" : "-s"]
    const child = run("mosquitto_pub", args)
    child.stdout.resume()
    child.stdin.on("error", () => undefined)
    child.stdin.end(payload)
    const [code] = (await once(child, "exit")) as [number]
    if (code !== 0) throw new Error(`mosquitto_pub ended with ${code}`)
  }

  async #publishByAlias(words: Words): Promise<void> {
    const topic = words.get("topic")!
    let publisher = this.#publishers.get(topic)
    if (publisher === undefined) {
      const alias = this.#publishers.size + 1
      const args = [...this.#pubArgs(words, `${this.#words.get("id")}-p${alias}`), "-l"]
      publisher = run("mosquitto_pub", [...args, "-D", "publish", "topic-alias", String(alias)])
      this.#publishers.set(topic, publisher)
    }
    publisher.stdin.write(`${words.get("payload")}\n`)
    let said = ""
    while (!said.includes("received PUBACK")) said += String((await once(publisher.stdout, "data"))[0])
  }
}

/** By client id: what a session is subscribed to. */
const sessions = new Map<string, Array<Words>>()

const connect = async (words: Words): Promise<Connection> => {
  const id = words.get("id")!
  const filters = clean(words) ? [] : (sessions.get(id) ?? [])
  sessions.set(id, filters)
  const connection = new Connection(words, filters)
  await connection.connect()
  return connection
}

/** Two of its three numbers: the third is the distribution's. */
const release = (): string => {
  try {
    return execFileSync("mosquitto_sub", ["--version"], { encoding: "utf8" }).match(/(\d+\.\d+)\./)![1]!
  } catch (cause) {
    return String((cause as { stdout?: string }).stdout).match(/(\d+\.\d+)\./)?.[1] ?? "unknown"
  }
}

serve("mosquitto", release(), {
  connect,
  subscribe: (connection, words) => connection.subscribe(words),
  publish: (connection, words) => connection.publish(words),
  disconnect: (connection) => connection.disconnect()
})
