import type { EventEmitter } from "node:events"
import { exitCodes } from "./CliError.ts"

/** `timeout`, and others that signal a process and then its group, say one thing twice. */
const echoMs = 500

export interface Signals {
  /** Resolves with the first SIGINT or SIGTERM. */
  readonly first: Promise<NodeJS.Signals>
  /** Whether it has come. */
  readonly isHeard: boolean
  readonly ignore: () => void
}

/** `onSecond`: somebody does not want to wait for what the first one began. */
export const listenToSignals = (
  process: Pick<EventEmitter, "on" | "off">,
  nowMs: () => number,
  onSecond: () => void
): Signals => {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  let firstMs: number | undefined
  const on = (signal: NodeJS.Signals): void => {
    firstMs ??= nowMs()
    if (nowMs() - firstMs > echoMs) onSecond()
    resolve(signal)
  }
  process.on("SIGINT", on)
  process.on("SIGTERM", on)
  return {
    first: promise,
    get isHeard() {
      return firstMs !== undefined
    },
    ignore: () => {
      process.off("SIGINT", on)
      process.off("SIGTERM", on)
    }
  }
}

/** The signals to a command that goes on until one comes; the second one ends the process at once. */
export const interrupted = (): Signals =>
  listenToSignals(
    process,
    () => performance.now(),
    () => process.exit(exitCodes.interrupted)
  )
