import { plainText } from "../plainText.ts"
import type { Verified } from "../tools/checkJournal.ts"
import type { EventFilter, EventView } from "../tools/journalTools.ts"
import type { Plain } from "../tools/plain.ts"
import type { Change } from "../tools/structuralDiff.ts"
import { exitCodes, usageError } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { directoryOf } from "./directories.ts"
import { painted, table, type Io } from "./Io.ts"
import { openPast, openSource, type JournalSource } from "./journalSource.ts"
import { numberOption, seqOf } from "./options.ts"

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

const pad = (n: number): string => String(Math.floor(Math.abs(n))).padStart(2, "0")

/** ISO 8601 in UTC, or the clock of this machine with its offset. */
const timeText = (args: Arguments, iso: string): string => {
  if (!args.flag("local")) return iso
  const date = new Date(iso)
  const minutes = -date.getTimezoneOffset()
  const shifted = new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, -1)
  return `${shifted}${minutes < 0 ? "-" : "+"}${pad(minutes / 60)}:${pad(minutes % 60)}`
}

const isObject = (value: Plain | undefined): value is { readonly [name: string]: Plain } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const scalarText = (value: Plain): string => plainText(typeof value === "string" ? value : JSON.stringify(value))

/** `{bytes, base64}` is how bytes are shown. */
const isBytes = (value: Plain): value is { readonly bytes: number; readonly base64: string } =>
  isObject(value) && Object.keys(value).length === 2 && "bytes" in value && "base64" in value

const inlineMax = 100

/** A value for people: what is short on one line, the rest indented below its name. */
const printValue = (io: Io, name: string, value: Plain, indent: string): void => {
  const label = `${indent}${painted(io, "cyan", plainText(name))}`
  if (isBytes(value)) io.out(`${label}: ${value.bytes} bytes${value.bytes === 0 ? "" : ` ${value.base64}`}`)
  else if (typeof value !== "object" || value === null) io.out(`${label}: ${scalarText(value)}`)
  else if (JSON.stringify(value).length + indent.length <= inlineMax)
    io.out(`${label}: ${plainText(JSON.stringify(value))}`)
  else {
    io.out(`${label}:`)
    for (const [key, each] of Object.entries(value)) {
      printValue(io, Array.isArray(value) ? `[${key}]` : key, each as Plain, `${indent}  `)
    }
  }
}

const causeText = ({ cause }: EventView): string =>
  [cause.seq === undefined ? "" : `#${cause.seq}`, cause.origin ?? ""].filter(Boolean).join(" ")

const summaryMax = 120

/** What happened, on one line. */
const summaryText = (event: Plain): string => {
  if (!isObject(event)) return scalarText(event)
  if (event["_tag"] === "RecordsAppended") return `offsets ${event["baseOffset"]} to ${event["lastOffset"]}`
  const parts = Object.entries(event)
    .filter(([name]) => name !== "_tag")
    .map(([name, value]) => `${name}=${isBytes(value) ? `<${value.bytes} bytes>` : scalarText(value)}`)
  const text = parts.join(" ")
  return text.length > summaryMax ? `${text.slice(0, summaryMax - 1)}…` : text
}

const eventLine = (args: Arguments, io: Io, event: EventView): string =>
  [
    painted(io, "dim", `${event.seq}`.padStart(io.isTty ? 8 : 0)),
    painted(io, "dim", timeText(args, event.time)),
    plainText(event.actor).padEnd(io.isTty ? 24 : 0),
    painted(io, "bold", event.type),
    summaryText(event.event),
    painted(io, "dim", causeText(event) === "" ? "" : `← ${plainText(causeText(event))}`)
  ]
    .filter(Boolean)
    .join(io.isTty ? " " : "\t")

const printEvents = (args: Arguments, io: Io, events: ReadonlyArray<EventView>): void => {
  for (const event of events) io.out(args.flag("json") ? JSON.stringify(event) : eventLine(args, io, event))
}

const linesMax = 1000

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
    let page = from === undefined ? await source.last(limit, filter) : await source.from(seqOf(from), limit, filter)
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

export const show = (args: Arguments, io: Io): Promise<number> =>
  withSource(args, io, async (source) => {
    const shown = await source.show(seqOf(args.positionals[0]!))
    if (args.flag("json")) {
      io.out(JSON.stringify(shown, null, 2))
      return
    }
    const { event, causes, origin } = shown
    io.out(`${painted(io, "bold", `#${event.seq} ${event.type}`)} of ${plainText(event.actor)}`)
    io.out(`  ${timeText(args, event.time)}, epoch ${event.epoch}`)
    if (isObject(event.event)) {
      for (const [name, value] of Object.entries(event.event)) if (name !== "_tag") printValue(io, name, value, "  ")
    }
    for (const cause of causes)
      io.out(`because of ${eventLine(args, { ...io, isTty: false }, cause).replaceAll("\t", " ")}`)
    io.out(`because of ${plainText(origin ?? "what is not in the journal any more")}`)
  })

export const state = (args: Arguments, io: Io): Promise<number> =>
  withSource(args, io, async (source) => {
    const found = await source.state(args.positionals[0]!, args.text("at"))
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
    const found = await source.diff(actor!, from!, to!)
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
    io.out(`${found.events.length}${found.hasMoreEvents ? "+" : ""} events in between`)
    for (const event of found.events) io.out(`  ${eventLine(args, io, event)}`)
  })

const progressOf = (io: Io, isQuiet: boolean) => (events: number) => {
  if (!isQuiet) io.err(`${events.toLocaleString("en-US")} events`)
}

const verifiedText = ({ ok, events, hashes, comparedEvents, firstSeq, lastSeq }: Verified): string => {
  const folded = `${events} events, #${firstSeq} to #${lastSeq}, fold`
  if (ok) return `ok: ${folded}; ${comparedEvents} of them to the ${hashes} states that were live`
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
      `${counts.events} events, #${counts.firstSeq} to #${counts.lastSeq}, of ${counts.epochs} epochs ` +
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
