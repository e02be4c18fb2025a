import { plainText } from "../plainText.ts"
import type { Verified } from "../tools/checkJournal.ts"
import type { EventFilter, EventPage, EventView } from "../tools/journalTools.ts"
import type { Publisher } from "../tools/publishers.ts"
import type { Plain } from "../tools/plain.ts"
import type { Change } from "../tools/structuralDiff.ts"
import { CliError, exitCodes, usageError } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { directoryOf } from "./directories.ts"
import { eventLine, isBytes, isObject, msText, scalarText, timeText } from "./eventText.ts"
import { counted, note, painted, table, warn, type Io } from "./Io.ts"
import { openPast, openSource, type JournalSource } from "./journalSource.ts"
import { numberOption, pointOf, seqOf } from "./options.ts"

const withSource = async (args: Arguments, io: Io, run: (source: JournalSource) => Promise<void>): Promise<number> => {
  const source = await openSource(args, io)
  try {
    await run(source)
    return exitCodes.ok
  } finally {
    await source.close()
  }
}

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
  for (const event of events) io.out(args.flag("json") ? JSON.stringify(event) : eventLine(args, io, event))
}

const linesMax = 1000

/** Whoever follows an actor may be there before it. */
const orNothing = async (io: Io, page: Promise<EventPage>): Promise<EventPage | undefined> => {
  try {
    return await page
  } catch (error) {
    if (!(error instanceof CliError) || error.code !== "E_UNKNOWN_ACTOR") throw error
    warn(io, [error.message])
    return undefined
  }
}

/** The newest events, then those that come. `--json`: one document per line, since there may be no end. */
export const tail = (args: Arguments, io: Io): Promise<number> =>
  withSource(args, io, async (source) => {
    const filter = filterOf(args)
    const from = args.text("from")
    const limit = numberOption(args, "lines", 1, 20)
    if (limit > linesMax) throw usageError(`--lines takes ${linesMax} at most`, "--from SEQ shows what comes after")
    if (source.follow === undefined && args.flag("follow")) {
      throw usageError("--follow needs a server: nothing comes to a directory that is read", "leave out --data-dir")
    }
    const first = from === undefined ? source.last(limit, filter) : source.from(seqOf(from), limit, filter)
    let page = args.flag("follow") ? await orNothing(io, first) : await first
    if (page === undefined) {
      for await (const event of source.follow!(undefined, filter)) printEvents(args, io, [event])
      return
    }
    printEvents(args, io, page.events)
    // With a filter one page may end, short, behind all that it may look at.
    let left = from === undefined ? 0 : limit - page.events.length
    while (left > 0 && page.hasNext) {
      page = await source.from(page.nextSeq, left, filter)
      printEvents(args, io, page.events)
      left -= page.events.length
    }
    if (source.follow === undefined || !args.flag("follow")) return
    for await (const event of source.follow(page.nextSeq, filter)) printEvents(args, io, [event])
  })

const rangesShown = 8

const publisherText = ({ clientId, records, offsets }: Publisher): string => {
  const ranges = offsets
    .slice(0, rangesShown)
    .map(([first, last]) => (first === last ? `${first}` : `${first} to ${last}`))
  const more = offsets.length > rangesShown ? ", …" : ""
  return `${records} of ${plainText(clientId ?? "clients that the records do not name")}: ${ranges.join(", ")}${more}`
}

export const show = (args: Arguments, io: Io): Promise<number> =>
  withSource(args, io, async (source) => {
    const shown = await source.show(seqOf(args.positionals[0]!))
    if (args.flag("json")) {
      io.out(JSON.stringify(shown, null, 2))
      return
    }
    const { event, causes, origin, publishers = [] } = shown
    io.out(`${painted(io, "bold", `#${event.seq} ${event.type}`)} of ${plainText(event.actor)}`)
    io.out(`  ${timeText(args, event.time)}, epoch ${event.epoch}`)
    if (isObject(event.event)) {
      for (const [name, value] of Object.entries(event.event)) if (name !== "_tag") printValue(io, name, value, "  ")
    }
    for (const publisher of publishers) io.out(`  ${publisherText(publisher)}`)
    for (const cause of causes)
      io.out(`because of ${eventLine(args, { ...io, isTty: false }, cause).replaceAll("\t", " ")}`)
    io.out(`because of ${plainText(origin ?? "what is not in the journal any more")}`)
  })

export const state = (args: Arguments, io: Io): Promise<number> =>
  withSource(args, io, async (source) => {
    const atText = args.text("at")
    const found = await source.state(args.positionals[0]!, atText === undefined ? undefined : pointOf(io, atText))
    if (args.flag("json")) {
      io.out(JSON.stringify(found, null, 2))
      return
    }
    io.out(`${painted(io, "bold", plainText(found.actor))} just after #${found.seq}`)
    if (!isObject(found.state)) io.out(scalarText(found.state))
    else for (const [name, value] of Object.entries(found.state)) printValue(io, name, value, "  ")
  })

const changeText = ({ path, change, before, after }: Change) => {
  if (change === "added") return ["green", `+ ${path}: ${JSON.stringify(after)}`] as const
  if (change === "removed") return ["red", `- ${path}: ${JSON.stringify(before)}`] as const
  return ["yellow", `~ ${path}: ${JSON.stringify(before)} → ${JSON.stringify(after)}`] as const
}

export const diff = (args: Arguments, io: Io): Promise<number> =>
  withSource(args, io, async (source) => {
    const [actor, from, to] = args.positionals
    const found = await source.diff(actor!, pointOf(io, from!), pointOf(io, to!))
    if (found.isSwapped) note(io, `${from} is behind ${to}: what changed is told forward in time`)
    if (args.flag("json")) {
      io.out(JSON.stringify(found, null, 2))
      return
    }
    io.out(`${painted(io, "bold", plainText(found.actor))} from #${found.fromSeq} to #${found.toSeq}`)
    for (const change of found.changes) {
      const [style, text] = changeText(change)
      io.out(painted(io, style, `  ${plainText(text)}`))
    }
    if (found.changes.length === 0) io.out("  nothing changed")
    io.out(
      `${found.hasMoreEvents ? `${found.events.length}+ events` : counted(found.events.length, "event")} in between`
    )
    for (const event of found.events) io.out(`  ${eventLine(args, io, event)}`)
  })

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

export const verify = async (args: Arguments, io: Io): Promise<number> => {
  const { verifyJournal } = await import("../tools/checkJournal.ts")
  const { past, close } = await openPast(await directoryOf(args, io))
  try {
    const verified = verifyJournal(past, progressOf(io, args.flag("json") || !io.isErrTty))
    const { ok, failure } = verified
    if (args.flag("json")) io.out(JSON.stringify(verified, null, 2))
    else if (failure === null) {
      io.out(verifiedText(verified))
    } else {
      io.out(plainText(`#${failure.seq} ${failure.actor}: ${failure.message}`))
      for (const event of failure.suspects) io.out(`  ${eventLine(args, io, event)}`)
    }
    return ok ? exitCodes.ok : exitCodes.failure
  } finally {
    await close()
  }
}

export const replay = async (args: Arguments, io: Io): Promise<number> => {
  const { replayAll } = await import("../tools/checkJournal.ts")
  const { past, close } = await openPast(await directoryOf(args, io))
  try {
    const startedMs = performance.now()
    const counts = replayAll(past, progressOf(io, args.flag("json") || !io.isErrTty))
    const seconds = (performance.now() - startedMs) / 1000
    const eventsPerSecond = Math.round(counts.events / seconds)
    if (args.flag("json")) {
      io.out(JSON.stringify({ ...counts, seconds, eventsPerSecond }, null, 2))
      return exitCodes.ok
    }
    io.out(
      `${counted(counts.events, "event")}, #${counts.firstSeq} to #${counts.lastSeq}, of ${counted(counts.epochs, "epoch")} ` +
        `in ${seconds.toFixed(2)} s (${eventsPerSecond} a second)`
    )
    const kinds = counts.kinds.map(({ kind, actors, events }) => [kind, String(actors), String(events)])
    table(io, ["KIND", "ACTORS", "EVENTS"], kinds)
    io.out("")
    table(
      io,
      ["KIND", "TYPE", "EVENTS"],
      counts.types.map(({ kind, type, events }) => [kind, type, String(events)])
    )
    return exitCodes.ok
  } finally {
    await close()
  }
}
