import { fork, type ChildProcess } from "node:child_process"
import type { Socket } from "node:net"
import { fileURLToPath } from "node:url"
import type { SettleJob } from "./SettleJob.ts"
import type { SettleOutcome, SettleOrder, SettleWord } from "./workerMessages.ts"

export interface SettleWork {
  /** Never rejects. */
  readonly done: Promise<SettleOutcome>
  readonly hurry: (isHurried: boolean) => void
  readonly cancel: () => void
}

const workerFile = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./settleMain.ts" : "./settleMain.js", import.meta.url)
)
const saidMax = 2000

/** A worker that has done its job waits for the next one for a while: to start one takes the CPU that settles 30 MB. */
let waiting: Worker | undefined

/** Settles in a child process at low priority. */
export const inChildProcess = (job: SettleJob): SettleWork => {
  let worker: Worker | undefined
  try {
    worker = waiting ?? new Worker()
    waiting = undefined
    return worker.begin(job)
  } catch (error) {
    worker?.kill()
    const detail = error instanceof Error ? error.message : String(error)
    return { done: Promise.resolve({ _tag: "Failed", detail }), hurry: () => undefined, cancel: () => undefined }
  }
}

const wait = (worker: Worker): void => {
  if (waiting === undefined) waiting = worker
  else worker.letGo()
}

const waitNoMore = (worker: Worker): boolean => {
  if (waiting !== worker) return false
  waiting = undefined
  return true
}

class Worker {
  readonly #child: ChildProcess
  /** Resolves the job under way. */
  #resolve: ((outcome: SettleOutcome) => void) | undefined
  #said = ""
  /** Its outcome may be on its way all the same. */
  #isKilled = false

  constructor() {
    this.#child = fork(workerFile, {
      execArgv: [],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"]
    })
    this.#child.on("error", (error) => this.#ended(error.message))
    // A child that could not be started has no streams.
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-saidMax)
    })
    this.#child.on("message", (word) => this.#told(word as SettleWord))
    this.#child.once("close", (code, signal) =>
      this.#ended(`the worker ended (${signal ?? code}) ${this.#said}`.trim())
    )
  }

  begin(job: SettleJob): SettleWork {
    const { promise, resolve } = Promise.withResolvers<SettleOutcome>()
    const isUnderWay = (): boolean => this.#resolve === resolve
    this.#resolve = resolve
    this.#keepsParent(true)
    this.#order({ _tag: "Settle", job })
    return {
      done: promise,
      hurry: (isHurried) => void (isUnderWay() && this.#order({ _tag: "Hurry", isHurried })),
      cancel: () => void (isUnderWay() && this.kill())
    }
  }

  kill(): void {
    this.#isKilled = true
    this.#child.kill("SIGKILL")
  }

  /** A child that is gone tells by its end. */
  #order(message: SettleOrder): void {
    if (this.#child.connected) this.#child.send(message, () => undefined)
  }

  #told(word: SettleWord): void {
    if (word._tag !== "Idle") {
      this.#resolve?.(word)
      this.#resolve = undefined
      this.#keepsParent(false)
      if (!this.#isKilled) wait(this)
      // Else it has got another job before it said this.
    } else if (waitNoMore(this)) this.letGo()
  }

  letGo(): void {
    this.#child.disconnect()
  }

  #ended(detail: string): void {
    waitNoMore(this)
    this.#resolve?.({ _tag: "Failed", detail })
    this.#resolve = undefined
  }

  /** Whether the process waits for the worker before it ends. */
  #keepsParent(isKept: boolean): void {
    for (const handle of [this.#child, this.#child.channel, this.#child.stderr as Socket | null]) {
      if (isKept) handle?.ref()
      else handle?.unref()
    }
  }
}
