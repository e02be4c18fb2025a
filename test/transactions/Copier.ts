import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { createInterface } from "node:readline"
import { waitUntil } from "../support/waitUntil.ts"

const endsWithinMs = 20_000

/** How a client library copies in transactions. */
export interface Library {
  readonly command: string
  readonly args: ReadonlyArray<string>
}

export interface CopierOptions {
  readonly brokers: string
  readonly from: string
  readonly to: string
  /** Transactional id and group, and the first word of each record that it writes. */
  readonly name: string
  readonly abortShare: number
  readonly seed: number
  /** So often it may end because its producer can neither commit nor abort, and is started anew. */
  readonly restartsMax: number
  /** What it says besides, and standard error, go to this file. */
  readonly log: string
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null

/** The end of a program whose producer can neither commit nor abort any more: another has its id, or its transaction timed out. */
const codeFenced = 3

/** A program that the kernel kills when this process has ended, however that was: one that is held on (SIGSTOP) notices nothing. Linux. */
const withParent = (command: string, args: ReadonlyArray<string>): readonly [string, ReadonlyArray<string>] =>
  process.platform === "linux" ? ["setpriv", ["--pdeathsig", "KILL", command, ...args]] : [command, args]

/**
 * A program that reads committed records as a member of a group, and writes for each, in transactions with the group's offsets, a record
 * `NAME PARTITION:OFFSET` to the same partition of another topic. Arguments: brokers, from, to, name, the share of transactions that it
 * aborts, a seed. Behind an abort it goes back to what is committed; where it can neither commit nor abort, it exits with 3, and is
 * started anew here, `restartsMax` times. Standard output has a line for each transaction: `committed`, `aborted` or `failed` (and before,
 * why). The end of standard input ends it.
 */
export class Copier {
  readonly name: string
  readonly log: string
  readonly counts = { committed: 0, aborted: 0, failed: 0, started: 0, restarted: 0, fenced: 0 }
  readonly #library: Library
  readonly #options: CopierOptions
  #child: ChildProcess
  #isEnding = false

  constructor(library: Library, options: CopierOptions) {
    this.name = options.name
    this.log = options.log
    this.#library = library
    this.#options = options
    this.#child = this.#start()
  }

  #start(): ChildProcess {
    const { brokers, from, to, name, abortShare, seed, log } = this.#options
    const own = [brokers, from, to, name, String(abortShare), String(seed + this.counts.started++)]
    const file = fs.openSync(log, "a")
    const [command, args] = withParent(this.#library.command, [...this.#library.args, ...own])
    const child = spawn(command, args, { stdio: ["pipe", "pipe", file] })
    fs.closeSync(file)
    child.on("error", ({ message }) => fs.appendFileSync(log, `${message}\n`))
    child.stdin!.on("error", () => undefined)
    createInterface({ input: child.stdout! }).on("line", (line) => this.#hear(line))
    child.once("exit", (code) => {
      if (child === this.#child && code === codeFenced) this.#restart()
    })
    return child
  }

  #restart(): void {
    if (this.#isEnding || this.counts.restarted === this.#options.restartsMax) return
    this.counts.restarted++
    this.#child = this.#start()
  }

  #hear(line: string): void {
    if (line === "committed" || line === "aborted" || line === "failed") this.counts[line]++
    else fs.appendFileSync(this.log, `${line}\n`)
  }

  get isRunning(): boolean {
    return isRunning(this.#child)
  }

  /**
   * Holds the program on, as a machine that stops for long, until another has its name and has committed; then it goes on, as a zombie.
   * Resolves with whether it ended fenced.
   */
  async replace(timeoutMs: number): Promise<boolean> {
    const zombie = this.#child
    zombie.kill("SIGSTOP")
    const before = this.counts.committed
    this.#child = this.#start()
    try {
      await waitUntil(`a commit by the next ${this.name}`, timeoutMs, () => this.counts.committed > before)
      zombie.kill("SIGCONT")
      await waitUntil(`the end of the zombie ${this.name}`, timeoutMs, () => !isRunning(zombie))
    } finally {
      zombie.kill("SIGKILL")
    }
    if (zombie.exitCode === codeFenced) this.counts.fenced++
    return zombie.exitCode === codeFenced
  }

  /** Resolves when it has ended by itself, or has been killed because it did not. */
  async end(): Promise<void> {
    this.#isEnding = true
    if (!this.isRunning) return
    const exited = once(this.#child, "exit")
    const forced = setTimeout(() => this.#child.kill("SIGKILL"), endsWithinMs)
    this.#child.stdin!.end()
    await exited
    clearTimeout(forced)
  }
}
