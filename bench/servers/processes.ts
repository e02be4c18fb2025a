import { spawn, type ChildProcess, type StdioOptions } from "node:child_process"
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs"
import * as net from "node:net"

/** Kernel ticks per second in /proc: fixed on Linux. */
const tickMs = 10
const kib = 1024

const timesOf = (pid: number): ReadonlyArray<number> => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  return stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 15)
    .map((ticks) => Number(ticks) * tickMs)
}

/** CPU of all threads of a process, in ms. */
export const cpuMs = (pid: number): number => {
  const [user, system] = timesOf(pid)
  return user! + system!
}

/** CPU of the processes that it has started, in ms; of those that have ended too. */
export const childrenCpuMs = (pid: number): number => {
  const [, , user, system] = timesOf(pid)
  const living = childrenOf(pid).reduce((sum, child) => sum + (existsSync(`/proc/${child}`) ? cpuMs(child) : 0), 0)
  return user! + system! + living
}

/** CPU of the whole machine that was not idle, in ms. */
export const machineBusyMs = (): number => {
  const fields = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!.trim().split(/\s+/).slice(1).map(Number)
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = fields
  return (user + nice + system + irq + softirq + steal) * tickMs
}

export const rssBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * kib

/** What the kernel has written, or will write, to devices for a process. */
export const deviceWriteBytes = (pid: number): number =>
  Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1] ?? 0)

const sectorBytes = 512

/** What the device under a path has written since the machine started, whoever asked for it; undefined for none. */
export const deviceBytes = (path: string): number | undefined => {
  const { dev } = statSync(path)
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)]
  for (const line of readFileSync("/proc/diskstats", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/)
    if (Number(fields[0]) === major && Number(fields[1]) === minor) return Number(fields[9]) * sectorBytes
  }
  return undefined
}

const childrenOf = (pid: number): ReadonlyArray<number> =>
  readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number)
  )

const sampleMs = 50

/** Device writes of a process and, as far as they were there to be seen, of the processes that it starts. */
export class DeviceWrites {
  readonly #bytes = new Map<number, number>()
  readonly #pid: number
  readonly #timer: NodeJS.Timeout

  constructor(pid: number) {
    this.#pid = pid
    this.#timer = setInterval(() => this.#sample(), sampleMs)
  }

  #sample(): void {
    for (const pid of [this.#pid, ...childrenOf(this.#pid)]) {
      try {
        this.#bytes.set(pid, deviceWriteBytes(pid))
      } catch {
        // It has ended: what it was seen to write counts.
      }
    }
  }

  /** Of the process, and of those that it has started. */
  read(): { readonly own: number; readonly children: number } {
    this.#sample()
    const own = this.#bytes.get(this.#pid) ?? 0
    const all = [...this.#bytes.values()].reduce((sum, bytes) => sum + bytes, 0)
    return { own, children: all - own }
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

/** A port that was free just now. */
export const freePort = (): Promise<number> => {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const server = net.createServer()
  server.on("error", reject)
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resolve(port))
  })
  return promise
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

/** Tries until it is true, or throws after `timeoutMs`. */
export const until = async (what: string, timeoutMs: number, isTrue: () => Promise<boolean>, everyMs = 5) => {
  const deadline = performance.now() + timeoutMs
  while (!(await isTrue().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeoutMs} ms`)
    await pause(everyMs)
  }
}

export const isListening = (port: number): Promise<boolean> => {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = net.connect(port, "127.0.0.1", () => {
    socket.destroy()
    resolve(true)
  })
  socket.on("error", () => resolve(false))
  return promise
}

export interface Started {
  readonly child: ChildProcess
  readonly pid: number
  /** The last of what it said, for errors. */
  readonly said: () => string
  /** Ends it and waits for that. */
  readonly stop: () => Promise<void>
  /** By SIGKILL. */
  readonly kill: () => Promise<void>
}

/** Those that have not ended. */
const live = new Set<Started>()

/** Ends what a failure has left running: a server that nobody stops keeps this process alive. */
export const stopAll = async (): Promise<void> => {
  await Promise.all(Array.from(live, ({ stop }) => stop()))
}

const saidChars = 4000
const stopMs = 10_000

/** A process on the given cores alone; `taskset` execs, so that the pid is the program's own. */
export const start = (
  cpus: string,
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly env?: Readonly<Record<string, string>>; readonly stdio?: StdioOptions } = {}
): Started => {
  const child = spawn("taskset", ["-c", cpus, command, ...args], {
    stdio: options.stdio ?? ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...options.env }
  })
  let said = ""
  const hear = (chunk: Buffer) => (said = (said + chunk.toString()).slice(-saidChars))
  child.stdout?.on("data", hear)
  child.stderr?.on("data", hear)
  const ended = new Promise<void>((resolve) => void child.once("close", () => resolve()))
  child.on("error", (error) => hear(Buffer.from(error.message)))
  if (child.pid === undefined) throw new Error(`${command} does not start: is taskset installed?`)
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM")
    const kill = setTimeout(() => child.kill("SIGKILL"), stopMs)
    await ended
    clearTimeout(kill)
  }
  const kill = (): Promise<void> => {
    child.kill("SIGKILL")
    return ended
  }
  const started: Started = { child, pid: child.pid, said: () => said, stop, kill }
  live.add(started)
  void ended.then(() => live.delete(started))
  return started
}

/** The output of a command; undefined when it is not installed. */
export const output = async (command: string, args: ReadonlyArray<string>): Promise<string | undefined> => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
  child.on("error", () => resolve(undefined))
  child.on("close", () => resolve(said))
  return promise
}

/** Runs a command to its end: its exit code; undefined when it is not installed, or has not ended after `timeoutMs`. */
export const run = (command: string, args: ReadonlyArray<string>, timeoutMs: number): Promise<number | undefined> => {
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  const child = spawn(command, args, { stdio: "ignore", timeout: timeoutMs })
  child.on("error", () => resolve(undefined))
  child.on("close", (code) => resolve(code ?? undefined))
  return promise
}
