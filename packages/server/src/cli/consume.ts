import * as Effect from "effect/Effect"
import { attempt } from "./attempt.ts"
import { type CliError, exitCodes, usageError, type ExitCode } from "./CliError.ts"
import { KafkaClient } from "./clients/KafkaClient.ts"
import { Ending } from "./clients/Ending.ts"
import { GroupConsumer } from "./clients/GroupConsumer.ts"
import { PartitionReader, type Reading } from "./clients/PartitionReader.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { note, type Io } from "./Io.ts"
import { boundOption, listenerOf, numberOption, timeoutOf } from "./optionValues.ts"
import type { Listener } from "./clients/connecting.ts"
import { columns, printerOf, type Print } from "./records.ts"
import { interrupted } from "./signals.ts"

interface Plan extends Reading {
  readonly listener: Listener
  readonly timeoutMs: number
  readonly streams: ReadonlyArray<string>
  readonly group: string | undefined
  /** Undefined: all. */
  readonly partitions: ReadonlyArray<number> | undefined
  readonly countMax: number
}

const partitionsOf = (args: Arguments): Effect.Effect<ReadonlyArray<number> | undefined, CliError> => {
  const texts = args.texts("partition")
  const wrong = texts.find((text) => !/^\d{1,9}$/.test(text))
  if (wrong !== undefined) return Effect.fail(usageError(`--partition takes a whole number, not "${wrong}"`))
  return Effect.succeed(texts.length === 0 ? undefined : texts.map(Number))
}

const planOf = (args: Arguments, io: Io): Effect.Effect<Plan, CliError> =>
  Effect.gen(function* () {
    const [follow, group, until] = [args.flag("follow"), args.text("group"), args.text("until")]
    if (follow && until !== undefined) return yield* Effect.fail(usageError("--follow and --until exclude each other"))
    const partitions = yield* partitionsOf(args)
    if (group !== undefined && partitions !== undefined) {
      const hint = "a group's members are given their partitions"
      return yield* Effect.fail(usageError("--group and --partition exclude each other", hint))
    }
    const end = until === undefined ? "now" : yield* boundOption(io, "until", until, ["now"])
    return {
      listener: yield* listenerOf(args, io, "kafka"),
      timeoutMs: yield* timeoutOf(args),
      streams: [...new Set(args.positionals)],
      group,
      partitions,
      from: yield* boundOption(io, "from", args.text("from") ?? "earliest", ["earliest", "latest"]),
      until: follow ? undefined : end,
      countMax: yield* numberOption(args, "count", 1, Infinity),
      note: (text) => note(io, text)
    }
  })

/** The first signal: nothing that is under way is waited for. */
class Interrupted extends Error {}

/** Prints what is read, until there is enough of it or no more. */
const consumeAll = async (plan: Plan, io: Io, print: Print): Promise<ExitCode> => {
  const { listener, timeoutMs, group, countMax } = plan
  const client = await KafkaClient.connect(listener, timeoutMs)
  const stop = interrupted()
  // The promise of the signal has a single reaction, however often something is waited for beside it.
  const ending = new Ending(stop.first.then(() => Promise.reject(new Interrupted())))
  let count = 0
  const member = group === undefined ? undefined : new GroupConsumer(client, plan, group)
  const reader = member ?? new PartitionReader(client, plan)
  try {
    await ending.before(reader.begin(plan.streams, plan.partitions))
    while (count < countMax) {
      const fetched = await ending.before(reader.next())
      if (fetched === undefined) break
      const printed: Array<() => void> = []
      for (const { records, taken } of fetched) {
        const shown = records.slice(0, countMax - count)
        for (const record of shown) print(record)
        count += shown.length
        printed.push(() => taken(shown.length))
      }
      const flushed = io.flushed()
      if (flushed !== undefined) await ending.before(member?.aliveDuring(flushed) ?? flushed)
      // A group's offsets never run ahead of what stdout has taken.
      for (const taken of printed) taken()
    }
    return exitCodes.ok
  } catch (error) {
    if (error instanceof Interrupted) return exitCodes.interrupted
    throw error
  } finally {
    stop.ignore()
    try {
      await member?.end()
    } finally {
      client.close()
    }
  }
}

/** Shows records of streams, or of topics of any Kafka server. */
export const consume: Run = (args, io) =>
  Effect.gen(function* () {
    const plan = yield* planOf(args, io)
    const print = yield* printerOf(args, io, columns.stream)
    return yield* attempt(() => consumeAll(plan, io, print))
  })
