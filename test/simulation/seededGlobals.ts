import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import type { Random } from "./Random.ts"

/**
 * What the product's shells take from the platform besides the clock: ids, and the end of the current callback.
 * Replaced for the time of a simulation; returns what puts it back.
 */
export const seedGlobals = (random: Pick<Random, "bytes">, microtask: (task: () => void) => void): (() => void) => {
  const { randomUUID, randomBytes } = crypto
  const { queueMicrotask } = globalThis
  const mutable = crypto as unknown as Record<string, unknown>
  mutable["randomUUID"] = () => random.bytes(16).toString("hex")
  mutable["randomBytes"] = (length: number) => random.bytes(length)
  globalThis.queueMicrotask = microtask
  syncBuiltinESMExports()
  return () => {
    mutable["randomUUID"] = randomUUID
    mutable["randomBytes"] = randomBytes
    globalThis.queueMicrotask = queueMicrotask
    syncBuiltinESMExports()
  }
}
