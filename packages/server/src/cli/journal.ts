import * as Effect from "effect/Effect"
import { plainText } from "../plainText.ts"
import type { ReplayCounts, Verified } from "../tools/checkJournal.ts"
import type { EventFilter, EventPage, EventView, ShownEvent, StateDiff } from "../tools/journalTools.ts"
import type { Publisher } from "../tools/publishers.ts"
import type { Plain } from "../tools/plain.ts"
import type { Change } from "../tools/structuralDiff.ts"
import { type ExitCode, exitCodes, usageError } from "./CliError.ts"
import type { Arguments, Run } from "./commandLine.ts"
import { directoryOf } from "./directories.ts"
import { eventLine, isBytes, isObject, msText, scalarText, timeText } from "./eventText.ts"
import type { CommandFailure } from "./failures.ts"
import { counted, note, painted, table, warn, type Io, outJson } from "./Io.ts"
import { openPast, openSource, type JournalSource, type Told } from "./journalSource.ts"
import { numberOption, pointOf, seqOf } from "./optionValues.ts"

/** A command over the past: `run` prints what it was told. */
const withSource = (
  args: Arguments,
  io: Io,
  run: (source: JournalSource) => Effect.Effect<void, CommandFailure>
): Effect.Effect<ExitCode, CommandFailure> =>
  Effect.flatMap(openSource(args, io), run).pipe(Effect.as(exitCodes.ok), Effect.scoped)

const filterOf = (args: Arguments): EventFilter => ({
  kind: args.text("kind"),
  actor: args.text("actor"),
  type: args.text("type")
})

const inlineMax = 100

/** A value for people: what is short on one line, the rest indented below its name. */
const printValue = (io: Io, name: string, value: Plain, indent: string): void => {
  const label = `${indent}${painted(io, "cyan", plainText(name))}`
  if (isBytes(value)) io.out(`${label}: ${counted(value.bytes, "byte")}${value.bytes === 0 ? "" : ` ${value.base64}`}`)
  else if (typeof value !== "object" || value === null) {
    const time = msText(name, value)
    io.out(`${label}: ${scalarText(value)}${time === undefined ? "" : ` (${time})`}`)
  } else if (JSON.stringify(value).length + indent.length <= inlineMax)
    io.out(`${label}: ${plainText(JSON.stringify(value))}`)
  else {
    io.out(`${label}:`)
    for (const [key, each] of Object.entries(value)) {
      printValue(io, Array.isArray(value) ? `[${key}]` : key, each as Plain, `${indent}  `)
    }
  }
}

const printEvents = (args: Arguments, io: Io, events: ReadonlyArray<EventView>): void => {
  for (const event of events) {
    if (args.flag("json")) outJson(io, event)
    else io.out(eventLine(args, io, event))
  }
}

const linesMax = 1000

/** Whoever follows an actor may be there before it. */
const orNothing = (io: Io, page: Told<EventPage>): Told<EventPage | undefined> =>
  Effect.catchTag(page, "CliError", (error) => {
    if (error.code !== "E_UNKNOWN_ACTOR") return Effect.fail(error)
    warn(io, [error.message])
    return Effect.succeed(undefined)
  })

/** The newest events, then those that come. `--json`: one document per line, since there may be no end. */
export const tail: Run = (args, io) =>
  withSource(args, io, (source) =>
    Effect.gen(function* () {
      const filter = filterOf(args)
      const from = args.text("from")
      const limit = yield* numberOption(args, "lines", 1, 20)
      if (limit > linesMax) {
        return yield* Effect.fail(usageError(`--lines takes ${linesMax} at most`, "--from SEQ shows what comes after"))
      }
      const follow = args.flag("follow") ? source.follow : undefined
      if (follow === undefined && args.flag("follow")) {
        const message = "--follow needs a server: nothing comes to a directory that is read"
        return yield* Effect.fail(usageError(message, "leave out --data-dir"))
      }
      const print = (events: ReadonlyArray<EventView>): Promise<void> | undefined => {
        printEvents(args, io, events)
        return io.flushed()
      }
      const first = from === undefined ? source.last(limit, filter) : source.from(yield* seqOf(from), limit, filter)
      let page = follow === undefined ? yield* first : yield* orNothing(io, first)
      if (page === undefined) return yield* follow!(undefined, filter, print)
      printEvents(args, io, page.events)
      // With a filter one page may end, short, behind all that it may look at.
      let left = from === undefined ? 0 : limit - page.events.length
      while (left > 0 && page.hasNext) {
        page = yield* source.from(page.nextSeq, left, filter)
        printEvents(args, io, page.events)
        left -= page.events.length
      }
      if (follow !== undefined) yield* follow(page.nextSeq, filter, print)
    })
  )

const rangesShown = 8

const publisherText = ({ clientId, records, offsets }: Publisher): string => {
  const ranges = offsets
    .slice(0, rangesShown)
    .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`))
  const more = offsets.length > rangesShown ? ", …" : ""
  return `${records} of ${plainText(clientId ?? "clients that the records do not name")}: ${ranges.join(", ")}${more}`
}

const printShown = (args: Arguments, io: Io, { event, causes, origin, publishers = [] }: ShownEvent): void => {
  io.out(`${painted(io, "bold", `#${event.seq} ${event.type}`)} of ${plainText(event.actor)}`)
  io.out(`  ${timeText(args, event.time)}, epoch ${event.epoch}`)
  if (isObject(event.event)) {
    for (const [name, value] of Object.entries(event.event)) if (name !== "_tag") printValue(io, name, value, "  ")
  }
  for (const publisher of publishers) io.out(`  ${publisherText(publisher)}`)
  for (const cause of causes)
    io.out(`because of ${eventLine(args, { ...io, isTty: false }, cause).replaceAll("\t", " ")}`)
  io.out(`because of ${plainText(origin ?? "what is not in the journal any more")}`)
}

export const show: Run = (args, io) =>
  withSource(args, io, (source) =>
    Effect.gen(function* () {
      const shown = yield* source.show(yield* seqOf(args.positionals[0]!))
      if (args.flag("json")) outJson(io, shown, 2)
      else printShown(args, io, shown)
    })
  )

export const state: Run = (args, io) =>
  withSource(args, io, (source) =>
    Effect.gen(function* () {
      const atText = args.text("at")
      const at = atText === undefined ? undefined : yield* pointOf(io, atText)
      const found = yield* source.state(args.positionals[0]!, at)
      if (args.flag("json")) {
        outJson(io, found, 2)
        return
      }
      io.out(`${painted(io, "bold", plainText(found.actor))} just after #${found.seq}`)
      if (!isObject(found.state)) io.out(scalarText(found.state))
      else for (const [name, value] of Object.entries(found.state)) printValue(io, name, value, "  ")
    })
  )

const changeText = ({ path, change, before, after }: Change) => {
  if (change === "added") return ["green", `+ ${path}: ${JSON.stringify(after)}`] as const
  if (change === "removed") return ["red", `- ${path}: ${JSON.stringify(before)}`] as const
  return ["yellow", `~ ${path}: ${JSON.stringify(before)} → ${JSON.stringify(after)}`] as const
}

const printDiff = (args: Arguments, io: Io, found: StateDiff): void => {
  io.out(`${painted(io, "bold", plainText(found.actor))} from #${found.fromSeq} to #${found.toSeq}`)
  for (const change of found.changes) {
    const [style, text] = changeText(change)
    io.out(painted(io, style, `  ${plainText(text)}`))
  }
  if (found.changes.length === 0) io.out("  nothing changed")
  io.out(`${found.hasMoreEvents ? `${found.events.length}+ events` : counted(found.events.length, "event")} in between`)
  for (const event of found.events) io.out(`  ${eventLine(args, io, event)}`)
}

export const diff: Run = (args, io) =>
  withSource(args, io, (source) =>
    Effect.gen(function* () {
      const [actor, from, to] = args.positionals
      const found = yield* source.diff(actor!, yield* pointOf(io, from!), yield* pointOf(io, to!))
      if (found.isSwapped) note(io, `${from} is behind ${to}: what changed is told forward in time`)
      if (args.flag("json")) outJson(io, found, 2)
      else printDiff(args, io, found)
    })
  )

const progressOf = (io: Io, isQuiet: boolean) => (events: number) => {
  if (!isQuiet) io.err(counted(events, "event", events.toLocaleString("en-US")))
}

const verifiedText = (verified: Verified): string => {
  const { ok, events, hashes, uncomparedHashes, comparedEvents, firstSeq, lastSeq } = verified
  const folded = `${counted(events, "event")}, #${firstSeq} to #${lastSeq}, ${events === 1 ? "folds" : "fold"}`
  const older =
    uncomparedHashes === 1
      ? "1 state hash is of another version of its state and was not compared"
      : `${uncomparedHashes} state hashes are of another version of their states and were not compared`
  const rest = uncomparedHashes === 0 ? "" : `; ${older}`
  if (ok)
    return `ok: ${folded}; ${comparedEvents} of them to the ${hashes === 1 ? "state that was" : `${hashes} states that were`} live${rest}`
  if (uncomparedHashes > 0) return `nothing was compared: ${folded}, but ${older}`
  return `nothing was compared: ${folded}, but no state hash is among them: they come with every 32 events of an actor or more, and with a stop in order`
}

const printVerified = (args: Arguments, io: Io, verified: Verified): void => {
  const { failure } = verified
  if (args.flag("json")) outJson(io, verified, 2)
  else if (failure === null) io.out(verifiedText(verified))
  else {
    io.out(plainText(`#${failure.seq} ${failure.actor}: ${failure.message}`))
    for (const event of failure.suspects) io.out(`  ${eventLine(args, io, event)}`)
  }
}

export const verify: Run = (args, io) =>
  Effect.gen(function* () {
    const { verifyJournal } = yield* Effect.promise(() => import("../tools/checkJournal.ts"))
    const past = yield* openPast(yield* directoryOf(args, io))
    const verified = yield* verifyJournal(past, progressOf(io, args.flag("json") || !io.isErrTty))
    printVerified(args, io, verified)
    return verified.ok ? exitCodes.ok : exitCodes.failure
  }).pipe(Effect.scoped)

const printCounts = (io: Io, counts: ReplayCounts, seconds: number, eventsPerSecond: number): void => {
  const { events, firstSeq, lastSeq, epochs, kinds, types } = counts
  io.out(
    `${counted(events, "event")}, #${firstSeq} to #${lastSeq}, of ${counted(epochs, "epoch")} ` +
      `in ${seconds.toFixed(2)} s (${eventsPerSecond} a second)`
  )
  table(
    io,
    ["KIND", "ACTORS", "EVENTS"],
    kinds.map(({ kind, actors, events: ofKind }) => [kind, String(actors), String(ofKind)])
  )
  io.out("")
  table(
    io,
    ["KIND", "TYPE", "EVENTS"],
    types.map(({ kind, type, events: ofType }) => [kind, type, String(ofType)])
  )
}

export const replay: Run = (args, io) =>
  Effect.gen(function* () {
    const { replayAll } = yield* Effect.promise(() => import("../tools/checkJournal.ts"))
    const past = yield* openPast(yield* directoryOf(args, io))
    const startedMs = performance.now()
    const counts = yield* replayAll(past, progressOf(io, args.flag("json") || !io.isErrTty))
    const seconds = (performance.now() - startedMs) / 1000
    const eventsPerSecond = Math.round(counts.events / seconds)
    if (args.flag("json")) outJson(io, { ...counts, seconds, eventsPerSecond }, 2)
    else printCounts(io, counts, seconds, eventsPerSecond)
    return exitCodes.ok
  }).pipe(Effect.scoped)
