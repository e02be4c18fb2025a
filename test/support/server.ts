import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { freePorts, host } from "./freePorts.ts"
import { runCommand } from "./runCommand.ts"

const root = path.join(import.meta.dirname, "../..")
/** A copy may be tested while another is built. */
const bin = process.env["LOGBROOK_TEST_BUNDLE"] ?? path.join(root, "packages/server/bundle/bin.js")
const readyTimeoutMs = 30_000
const stopTimeoutMs = 20_000
const logTailBytes = 4096

export interface ServerPorts {
  readonly mqtt: number
  readonly mqttWs: number
  readonly kafka: number
  readonly http: number
}

export interface ServerOptions {
  /** Made and removed by the server process object when left out. */
  readonly dataDir?: string
  /** `LOGBROOK_*` settings. */
  readonly env?: Readonly<Record<string, string>>
}

export interface StreamOptions {
  readonly filters?: ReadonlyArray<string>
  readonly partitions?: number
  readonly key?: string
  /** Kafka's names: `retention.ms` and its like. */
  readonly config?: Readonly<Record<string, string>>
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(port, host)
    const done = (isOpen: boolean): void => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once("connect", () => done(true)).once("error", () => done(false))
  })

/** Tests bring hundreds of clients from one address at once, which a server does not expect by default. */
const manyClients: Readonly<Record<string, string>> = {
  LOGBROOK_LIMITS_CONNECTIONS_PER_ADDRESS_MAX: "5000",
  LOGBROOK_LIMITS_NEW_CONNECTIONS_PER_SECOND_MAX: "5000"
}

/** The settings of whoever runs the tests are not the server's. */
const foreignEnv = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("LOGBROOK_")))

/** The server as users run it: a process of its own on free ports, which stay the same over restarts. */
export class ServerProcess {
  readonly dataDir: string
  readonly ports: ServerPorts
  readonly #logFile: string
  readonly #ownsDataDir: boolean
  /** Of the next start. */
  env: Readonly<Record<string, string>>
  #child: ChildProcess | undefined
  /** By `stop` or `kill`. */
  #isEnded = false

  private constructor(dataDir: string | undefined, ports: ServerPorts, env: Readonly<Record<string, string>>) {
    this.#ownsDataDir = dataDir === undefined
    this.dataDir = dataDir ?? fs.mkdtempSync(path.join(os.tmpdir(), "logbrook-test-"))
    this.#logFile = path.join(os.tmpdir(), `logbrook-test-${process.pid}-${ports.http}.log`)
    this.ports = ports
    this.env = env
  }

  /** With ports of its own; not started. */
  static async make(options: ServerOptions = {}): Promise<ServerProcess> {
    const [mqtt, mqttWs, kafka, http] = (await freePorts(4)) as [number, number, number, number]
    return new ServerProcess(options.dataDir, { mqtt, mqttWs, kafka, http }, options.env ?? {})
  }

  /** Resolves when it is ready. */
  static async start(options: ServerOptions = {}): Promise<ServerProcess> {
    const server = await ServerProcess.make(options)
    await server.start()
    return server
  }

  get url(): string {
    return `http://${host}:${this.ports.http}`
  }

  /** For `bootstrap.servers` and its like. */
  get kafka(): string {
    return `${host}:${this.ports.kafka}`
  }

  get mqttUrl(): string {
    return `mqtt://${host}:${this.ports.mqtt}`
  }

  /** Of the process that was started last. */
  get pid(): number {
    return this.#child!.pid!
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** From the spawn of the process until it is ready, in ms. Rejects with the end of its output if it ends before. */
  async start(): Promise<number> {
    const { mqtt, mqttWs, kafka, http } = this.ports
    const flags = {
      "data-dir": this.dataDir,
      host,
      "mqtt-port": mqtt,
      "mqtt-ws-port": mqttWs,
      "kafka-port": kafka,
      "http-port": http
    }
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
    const log = fs.openSync(this.#logFile, "a")
    const startedMs = performance.now()
    const child = spawn(process.execPath, [bin, "serve", ...args], {
      stdio: ["ignore", log, log],
      env: { ...foreignEnv(), ...manyClients, ...this.env }
    })
    fs.closeSync(log)
    this.#child = child
    this.#isEnded = false
    while (!(await this.#isReady())) {
      if (!this.isRunning) throw new Error(`the server ended at its start\n${this.logTail()}`)
      if (performance.now() - startedMs > readyTimeoutMs) throw new Error(`the server is not ready\n${this.logTail()}`)
      await sleep(10)
    }
    return performance.now() - startedMs
  }

  async #isReady(): Promise<boolean> {
    // A refused connection costs less than a failed fetch, and the server needs the processor more.
    if (!(await accepts(this.ports.http))) return false
    try {
      if (!(await fetch(`${this.url}/readyz`)).ok) return false
    } catch {
      return false
    }
    const { mqtt, mqttWs, kafka } = this.ports
    return (await Promise.all([mqtt, mqttWs, kafka].map(accepts))).every(Boolean)
  }

  /** As a power cut for the process: no handler of it runs. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL")
  }

  /** Resolves with the exit code of a graceful stop. */
  async stop(): Promise<number | null> {
    const forced = setTimeout(() => this.#child?.kill("SIGKILL"), stopTimeoutMs)
    const code = await this.#end("SIGTERM")
    clearTimeout(forced)
    return code
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    this.#isEnded = true
    if (child === undefined || !this.isRunning) return child?.exitCode ?? null
    const exited = once(child, "exit")
    child.kill(signal)
    await exited
    return child.exitCode
  }

  /** Resolves with the exit code when the process ends by itself. */
  async exited(): Promise<number | null> {
    const child = this.#child!
    if (this.isRunning) await once(child, "exit")
    return child.exitCode
  }

  /** The process is ended and its files are removed. Rejects if it had ended by itself. */
  async dispose(): Promise<void> {
    const hasDied = !this.#isEnded && !this.isRunning
    const log = this.logTail()
    await this.kill()
    if (this.#ownsDataDir) fs.rmSync(this.dataDir, { recursive: true, force: true })
    fs.rmSync(this.#logFile, { force: true })
    if (hasDied)
      throw new Error(`the server ended by itself (${this.#child?.exitCode ?? this.#child?.signalCode})\n${log}`)
  }

  /** All that the process has said, over restarts. */
  log(): string {
    return fs.existsSync(this.#logFile) ? fs.readFileSync(this.#logFile, "utf8") : ""
  }

  logTail(): string {
    return this.log().slice(-logTailBytes)
  }

  /** As `/metrics` has it; 0 for a counter that has not counted yet, which is not there. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text()
    const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `))
    return line === undefined ? 0 : Number(line.slice(name.length + 1))
  }

  /** Until more than so many segments have been settled, and none waits. Throws after 30 s. */
  async settled(segments: number): Promise<void> {
    const deadlineMs = performance.now() + 30_000
    for (;;) {
      const done = await this.metric("logbrook_settle_segments_total")
      const waiting = await this.metric("logbrook_settle_segments_unsettled")
      if (done > segments && waiting === 0) return
      if (performance.now() > deadlineMs) throw new Error(`${done} segments were settled, ${waiting} wait`)
      await sleep(200)
    }
  }

  async createStream(name: string, options: StreamOptions = {}): Promise<void> {
    await this.request("POST", "/streams", { name, ...options })
  }

  /** What the HTTP API answers at a path below `/api/v1`. */
  get<A>(route: string): Promise<A> {
    return this.request<A>("GET", route)
  }

  /** Rejects with status and answer unless the status is one of success. */
  async request<A>(method: string, route: string, body?: unknown): Promise<A> {
    const init =
      body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
    const response = await fetch(`${this.url}/api/v1${route}`, { method, ...init })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${route}: ${response.status} ${text}`)
    return JSON.parse(text) as A
  }

  /** What Node is given to run the command line. */
  cliArgs(...args: ReadonlyArray<string>): ReadonlyArray<string> {
    return [bin, ...args]
  }

  /** The command line's standard output. Rejects unless it exits with 0. */
  async cli(...args: ReadonlyArray<string>): Promise<string> {
    const { code, stdout, stderr } = await runCommand(process.execPath, this.cliArgs(...args))
    if (code !== 0) throw new Error(`logbrook ${args.join(" ")} exited with ${code}: ${stderr}`)
    return stdout.toString("utf8")
  }
}
