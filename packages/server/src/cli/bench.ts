import * as Effect from "effect/Effect"
import { sizeBytes } from "../config/values.ts"
import { type CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import type { Histogram } from "./Histogram.ts"
import { bytesText, fields, note, type Io, outJson } from "./Io.ts"
import { durationOption, numberOption } from "./optionValues.ts"
import { interrupted } from "./signals.ts"

/** Both loads have it: how long, how much, and of what size. */
export interface Load {
  readonly durationMs: number
  /** Messages or records in all. */
  readonly countMax: number
  readonly sizeBytes: number
}

const durationMsMax = 3_600_000
const sizeBytesMax = 1_000_000

/** A whole number of at least 1, and at most `max`: a load is bounded, whatever is asked for. */
export const boundedOption = (
  args: Arguments,
  name: string,
  byDefault: number,
  max: number,
  min = 1
): Effect.Effect<number, CliError> =>
  Effect.flatMap(numberOption(args, name, min, byDefault), (value) =>
    value <= max ? Effect.succeed(value) : Effect.fail(usageError(`--${name} takes ${max} at most, not ${value}`))
  )

export const loadOf = (args: Arguments): Effect.Effect<Load, CliError> =>
  Effect.gen(function* () {
    const durationMs = (yield* durationOption(args, "duration")) ?? 10_000
    if (durationMs === 0 || durationMs > durationMsMax) {
      return yield* Effect.fail(usageError("--duration takes up to 1h", "--duration 30s"))
    }
    const text = args.text("size") ?? "100"
    const size = sizeBytes(text)
    if (size === undefined || size > sizeBytesMax) {
      return yield* Effect.fail(usageError(`--size takes up to 1MB, not "${text}"`, "--size 100, --size 16KiB"))
    }
    return { durationMs, countMax: yield* boundedOption(args, "count", Infinity, Infinity), sizeBytes: size }
  })

/** How long a load has run, and whether it is to go on. */
export class Clock {
  readonly #endMs: number
  readonly #stop = interrupted()
  readonly #startMs = performance.now()
  readonly #cpu = process.cpuUsage()

  constructor(durationMs: number) {
    this.#endMs = this.#startMs + durationMs
  }

  get isOver(): boolean {
    return this.#stop.isHeard || performance.now() >= this.#endMs
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs
  }

  /** The share of a core that this process has taken since. */
  get cpuShare(): number {
    const { user, system } = process.cpuUsage(this.#cpu)
    return (user + system) / 1000 / this.elapsedMs
  }

  end(): ExitCode {
    this.#stop.ignore()
    return this.#stop.isHeard ? exitCodes.interrupted : exitCodes.ok
  }
}

/** A kind of thing that was counted and timed. */
export interface Measured {
  /** `published`, `delivered`. */
  readonly name: string
  readonly count: number
  readonly bytes: number
  readonly seconds: number
  /** Undefined: nothing was waited for. */
  readonly latency: Histogram | undefined
}

const msText = (ms: number): string => `${ms < 10 ? ms.toFixed(2) : ms.toFixed(0)} ms`

const rateText = (count: number, seconds: number): string => Math.round(count / seconds).toLocaleString("en-US")

const jsonOf = ({ count, bytes, seconds, latency }: Measured) => ({
  count,
  bytes,
  seconds,
  perSecond: count / seconds,
  ...(latency === undefined
    ? {}
    : {
        latencyMs: {
          p50: latency.quantileMs(0.5),
          p99: latency.quantileMs(0.99),
          max: latency.maxMs
        }
      })
})

const rowOf = ({ name, count, bytes, seconds, latency }: Measured): readonly [string, string] => {
  const rate = `${rateText(count, seconds)}/s, ${bytesText(Math.round(bytes / seconds))}/s`
  const waits =
    latency === undefined
      ? ""
      : `; p50 ${msText(latency.quantileMs(0.5))}, p99 ${msText(latency.quantileMs(0.99))}, max ${msText(latency.maxMs)}`
  return [name, `${count.toLocaleString("en-US")} in ${seconds.toFixed(1)} s: ${rate}${waits}`]
}

/** Above it the client is likely what is measured. */
const cpuShareMax = 0.8

/** `load`: in words, what was run. */
export const report = (
  args: Arguments,
  io: Io,
  load: string,
  measured: ReadonlyArray<Measured>,
  cpuShare: number
): void => {
  if (args.flag("json")) {
    const found = Object.fromEntries(measured.map((each) => [each.name, jsonOf(each)]))
    outJson(io, { load, ...found, clientCpuShare: cpuShare }, 2)
  } else {
    fields(io, [["load", load], ...measured.map(rowOf), ["this client", `${Math.round(cpuShare * 100)} % of a core`]])
  }
  if (cpuShare > cpuShareMax) note(io, "this client was busy all the time: the server may well do more")
}
