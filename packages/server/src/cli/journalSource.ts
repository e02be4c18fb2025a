import type {
  EventFilter,
  EventPage,
  EventView,
  Past,
  ShownEvent,
  StateDiff,
  StateView
} from "../tools/journalTools.ts"
import type { At } from "../tools/point.ts"
import { fetchOrThrow, requestJson, type Listed } from "./client.ts"
import { CliError, exitCodes, usageError } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { throwIfNoJournal } from "./directories.ts"
import type { Io } from "./Io.ts"
import { journalErrors } from "./journalErrors.ts"
import { urlOf } from "./options.ts"

/** The past, asked of a server or read from a data directory. */
export interface JournalSource {
  readonly last: (count: number, filter: EventFilter) => Promise<EventPage>
  readonly from: (seq: number, limit: number, filter: EventFilter) => Promise<EventPage>
  readonly show: (seq: number) => Promise<ShownEvent>
  /** `at` undefined: now. */
  readonly state: (actor: string, at: At | undefined) => Promise<StateView>
  readonly diff: (actor: string, from: At, to: At) => Promise<StateDiff>
  /** Events as they come, from now on or from a seq, until the server goes; undefined where nothing can come. */
  readonly follow: ((fromSeq: number | undefined, filter: EventFilter) => AsyncIterable<EventView>) | undefined
  readonly close: () => Promise<void>
}

/** Opens the journal read-only, beside a running server too. Throws `CliError`. */
export const openPast = async (
  directory: string
): Promise<{ readonly past: Past; readonly close: () => Promise<void> }> => {
  await throwIfNoJournal(directory)
  const [{ openReadOnly }, { definitions }, { defaultLimits }, { pastOf }] = await Promise.all([
    import("@logbrook/core/doctor/ReadOnlyChain"),
    import("../Broker.ts"),
    import("@logbrook/core/Limits"),
    import("../tools/journalTools.ts")
  ])
  const journal = await journalErrors(() => openReadOnly(directory))
  return { past: pastOf(journal, definitions(defaultLimits)), close: () => journal.close() }
}

/** Turns refusals of the tools into what the server would answer. */
const refusals = async <A>(run: () => A): Promise<A> => {
  const { JournalQueryRefused } = await import("../tools/journalTools.ts")
  try {
    return run()
  } catch (error) {
    if (!(error instanceof JournalQueryRefused)) throw error
    const isUsage = error.reason === "InvalidActor" || error.reason === "InvalidType"
    throw new CliError(isUsage ? exitCodes.usage : exitCodes.notFound, codes[error.reason], error.message)
  }
}

const codes = {
  UnknownEvent: "E_UNKNOWN_EVENT",
  UnknownActor: "E_UNKNOWN_ACTOR",
  InvalidActor: "E_INVALID_ACTOR",
  InvalidType: "E_INVALID_TYPE",
  Expired: "E_EXPIRED"
} as const

const offline = async (directory: string): Promise<JournalSource> => {
  const tools = await import("../tools/journalTools.ts")
  const { past, close } = await openPast(directory)
  const last = (): At => ({ seq: past.journal.nextSeq - 1 })
  return {
    last: (count, filter) => refusals(() => tools.lastEvents(past, count, filter)),
    from: (seq, limit, filter) => refusals(() => tools.eventsFrom(past, seq, limit, filter)),
    show: (seq) => refusals(() => tools.showEvent(past, seq)),
    state: (actor, at) => refusals(() => tools.stateAt(past, actor, at ?? last())),
    diff: (actor, from, to) => refusals(() => tools.diffStates(past, actor, from, to)),
    follow: undefined,
    close
  }
}

const queryOf = (params: object): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.set(name, String(value))
  return String(query)
}

const textOf = (at: At): string => ("seq" in at ? String(at.seq) : new Date(at.timeMs).toISOString())

const online = (url: string): JournalSource => {
  const base = "/api/v1/journal"
  const page = async (params: object): Promise<EventPage> => {
    const { data, meta } = await requestJson<Listed<EventView>>(url, `${base}/events?${queryOf(params)}`)
    return { events: data, nextSeq: Number(meta.cursor), hasNext: meta.hasnext }
  }
  return {
    last: (last, filter) => page({ last, ...filter }),
    from: (cursor, limit, filter) => page({ cursor, limit, ...filter }),
    show: (seq) => requestJson(url, `${base}/events/${seq}`),
    state: (actor, at) => requestJson(url, `${base}/state?${queryOf({ actor, at: at && textOf(at) })}`),
    diff: (actor, from, to) =>
      requestJson(url, `${base}/diff?${queryOf({ actor, from: textOf(from), to: textOf(to) })}`),
    follow: (from, filter) => followTail(url, `${base}/tail?${queryOf({ from, ...filter })}`),
    close: () => Promise.resolve()
  }
}

/** The `data` lines of server-sent events. */
async function* followTail(url: string, path: string): AsyncIterable<EventView> {
  const response = await fetchOrThrow(url, path, { signal: null })
  let rest = ""
  try {
    for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n")
      rest = lines.pop()!
      for (const line of lines) if (line.startsWith("data: ")) yield JSON.parse(line.slice(6)) as EventView
    }
  } catch (error) {
    // The server closes its live views when it stops.
    if (!(error instanceof TypeError)) throw error
  }
}

export const openSource = async (args: Arguments, io: Io): Promise<JournalSource> => {
  const directory = args.text("data-dir")
  if (directory === undefined) return online(urlOf(args, io))
  if (args.text("url") !== undefined) throw usageError("--url and --data-dir exclude each other")
  return offline(directory)
}
