import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePort, start, until, type Started } from "./processes.ts"
import type { Server } from "./Server.ts"

export interface Logbrook extends Server {
  readonly kafkaPort: number
  readonly httpPort: number
  readonly dataDir: string
  /** From the process's start to the first "ready". */
  readonly readyMs: number
  /** Blocks that the data directory has on the disk. */
  readonly storedBytes: () => number
  /** Ends it without warning; what it has stored is left. */
  readonly kill: () => Promise<void>
}

export interface LogbrookOptions {
  /** A directory that was there before and stays; else an empty one that is removed at the end. */
  readonly dataDir?: string
  /** Where several are under load. */
  readonly name?: string
  /** Settings beside the defaults, as `LOGBROOK_…`. */
  readonly settings?: Readonly<Record<string, string>>
}

const builtProgram = fileURLToPath(new URL("../../packages/server/bundle/bin.js", import.meta.url))
/** As `npm start` has them. */
export const startFlags: ReadonlyArray<string> = ["--max-semi-space-size=16"]
/** With these it collects all garbage at SIGUSR2. */
export const collectable = ["--expose-gc", "--require", fileURLToPath(new URL("./collect.cjs", import.meta.url))]
const readyMsMax = 60_000
const settledMsMax = 60_000
const restLookMs = 50
const blockBytes = 512

/** Its limits guard against one address and a storm of connections: here all load comes from one address, from 10,000 connections at most. */
const limits = {
  LOGBROOK_LIMITS_CONNECTIONS_MAX: "20000",
  LOGBROOK_LIMITS_CONNECTIONS_PER_ADDRESS_MAX: "20000",
  LOGBROOK_LIMITS_NEW_CONNECTIONS_PER_SECOND_MAX: "10000"
}

/** An empty data directory, the defaults, and the limits above. `program`: of another build than this checkout's. */
export const startLogbrook = async (
  cpus: string,
  nodeArgs: ReadonlyArray<string> = [],
  program: string = builtProgram,
  { name = "logbrook", dataDir: given, settings = {} }: LogbrookOptions = {}
): Promise<Logbrook> => {
  const dataDir = given ?? mkdtempSync(join(tmpdir(), "bench-logbrook-"))
  const [mqttPort, kafkaPort, wsPort, httpPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort()
  ]
  const ports = ["--mqtt-port", mqttPort, "--kafka-port", kafkaPort, "--mqtt-ws-port", wsPort, "--http-port", httpPort]
  const args = [...startFlags, ...nodeArgs, program, "serve", "--data-dir", join(dataDir, "data"), ...ports.map(String)]
  const began = performance.now()
  const started = start(cpus, process.execPath, args, { env: { ...limits, LOGBROOK_LOG_LEVEL: "warn", ...settings } })
  await until(`${name} is ready`, readyMsMax, async () => isReady(started, httpPort)).catch((error: Error) => {
    throw new Error(`${error.message}; ${started.said()}`)
  })
  const readyMs = performance.now() - began
  const stop = async () => {
    await started.stop()
    if (given === undefined) rmSync(dataDir, { recursive: true, force: true })
  }
  const unsettled = (): Promise<number> => metric({ httpPort }, "logbrook_settle_segments_unsettled")
  const rest = () => until(`${name} has settled`, settledMsMax, async () => (await unsettled()) === 0, restLookMs)
  const storedBytes = () => blocksUnder(dataDir) * blockBytes
  const { pid, kill } = started
  return { name, pid, mqttPort, kafkaPort, httpPort, dataDir, readyMs, storedBytes, rest, stop, kill }
}

const isReady = async ({ child, said }: Started, httpPort: number): Promise<boolean> => {
  if (child.exitCode !== null) throw new Error(said())
  return (await fetch(`http://127.0.0.1:${httpPort}/readyz`)).ok
}

/** As `/metrics` has it; NaN for one that is not there. */
export const metric = async ({ httpPort }: Pick<Logbrook, "httpPort">, name: string): Promise<number> => {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1])
}

const blocksUnder = (directory: string): number =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).reduce(
    (sum, name) => sum + statSync(join(directory, name)).blocks,
    0
  )

/** Without filters: a stream that Kafka clients write. Rejects with what the server says. */
export const createStream = async (
  { httpPort }: Logbrook,
  stream: { readonly name: string; readonly filters: ReadonlyArray<string>; readonly partitions: number }
): Promise<void> => {
  const response = await fetch(`http://127.0.0.1:${httpPort}/api/v1/streams`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(stream)
  })
  if (!response.ok) throw new Error(`the stream ${stream.name}: ${response.status} ${await response.text()}`)
}
