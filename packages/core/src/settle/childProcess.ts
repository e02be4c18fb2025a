import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { SettleOrder } from "./settleMain.ts"
import type { Settled, SettleJob } from "./settleSegment.ts"

export type SettleOutcome =
  | ({ readonly _tag: "Settled" } & Settled)
  /** The source is not what a journal writes: `detail` names the place. */
  | { readonly _tag: "Refused"; readonly detail: string }
  /** It may go well another time. */
  | { readonly _tag: "Failed"; readonly detail: string }

export interface SettleWork {
  /** Never rejects. */
  readonly done: Promise<SettleOutcome>
  readonly hurry: (isHurried: boolean) => void
  readonly cancel: () => void
}

const workerFile = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./settleMain.ts" : "./settleMain.js", import.meta.url)
)

/** Settles in a child process at low priority. */
export const inChildProcess = (job: SettleJob): SettleWork => {
  const { promise, resolve } = Promise.withResolvers<SettleOutcome>()
  const child = fork(workerFile, {
    execArgv: [],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"]
  })
  let said = ""
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-saidMax)
  })
  child.once("message", (outcome) => resolve(outcome as SettleOutcome))
  child.on("error", (error) => resolve({ _tag: "Failed", detail: error.message }))
  child.once("close", (code, signal) => {
    resolve({ _tag: "Failed", detail: `the worker ended (${signal ?? code}) ${said}`.trim() })
  })
  // A child that is gone tells by its end.
  const order = (message: SettleOrder): void => void (child.connected && child.send(message, () => undefined))
  order({ _tag: "Settle", job })
  return {
    done: promise,
    hurry: (isHurried) => order({ _tag: "Hurry", isHurried }),
    cancel: () => void child.kill("SIGKILL")
  }
}

const saidMax = 2000
