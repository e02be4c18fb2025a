import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { JournalError } from "@logbrook/core/journal/JournalError"
import { readingJournal } from "@logbrook/core/journal/readingJournal"
import type {
  EventFilter,
  EventPage,
  EventView,
  JournalQueryRefused,
  Past,
  ShownEvent,
  StateDiff,
  StateView
} from "../tools/journalTools.ts"
import type { At } from "../tools/point.ts"
import { attempt } from "./attempt.ts"
import { fetched, requestJson, requestPage, type FieldsOf } from "./client.ts"
import type { CliError } from "./CliError.ts"
import type { Arguments } from "./commandLine.ts"
import { allDefinitions } from "./definitions.ts"
import { checkJournalAt } from "./directories.ts"
import type { Io } from "./Io.ts"
import { directoryInstead, urlOf } from "./optionValues.ts"

/** An answer about the past, from a server or from a data directory. */
export type Told<A> = Effect.Effect<A, CliError | JournalError | JournalQueryRefused>

/** The past, asked of a server or read from a data directory. */
export interface JournalSource {
  readonly last: (count: number, filter: EventFilter) => Told<EventPage>
  readonly from: (seq: number, limit: number, filter: EventFilter) => Told<EventPage>
  readonly show: (seq: number) => Told<ShownEvent>
  /** `at` undefined: now. */
  readonly state: (actor: string, at: At | undefined) => Told<StateView>
  readonly diff: (actor: string, from: At, to: At) => Told<StateDiff>
  /** Tells events as they come, from now on or from a seq, until the server goes; undefined where nothing can come. */
  readonly follow: ((fromSeq: number | undefined, filter: EventFilter, onEvents: OnEvents) => Told<void>) | undefined
}

/** Gets the events that came together. No more are read before it resolves; undefined: at once. Rejects with `CliError`. */
export type OnEvents = (events: ReadonlyArray<EventView>) => Promise<void> | undefined

/** The journal, read-only, beside a running server too, until the scope closes. */
export const openPast = (directory: string): Effect.Effect<Past, CliError | JournalError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* checkJournalAt(directory)
    const [{ openReadOnly }, { pastOf }] = yield* Effect.promise(() =>
      Promise.all([import("@logbrook/core/doctor/ReadOnlyChain"), import("../tools/journalTools.ts")])
    )
    const journal = yield* Effect.acquireRelease(
      readingJournal(() => openReadOnly(directory)),
      (open) => Effect.promise(() => open.close())
    )
    return pastOf(journal, yield* allDefinitions)
  })

const offline = (directory: string): Effect.Effect<JournalSource, CliError | JournalError, Scope.Scope> =>
  Effect.gen(function* () {
    const tools = yield* Effect.promise(() => import("../tools/journalTools.ts"))
    const past = yield* openPast(directory)
    const last = (): At => ({ seq: past.journal.nextSeq - 1 })
    return {
      last: (count, filter) => tools.lastEvents(past, count, filter),
      from: (seq, limit, filter) => tools.eventsFrom(past, seq, limit, filter),
      show: (seq) => tools.showEvent(past, seq),
      state: (actor, at) => tools.stateAt(past, actor, at ?? last()),
      diff: (actor, from, to) => tools.diffStates(past, actor, from, to),
      follow: undefined
    }
  })

const queryOf = (params: object): string => {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.set(name, String(value))
  return String(query)
}

const textOf = (at: At): string => ("seq" in at ? String(at.seq) : new Date(at.timeMs).toISOString())

const eventFields: FieldsOf<EventView> = ["seq", "time", "epoch", "actor", "type", "cause", "event"]
const diffFields: FieldsOf<StateDiff> = ["actor", "fromSeq", "toSeq", "isSwapped", "changes", "events", "hasMoreEvents"]

const online = (url: string): JournalSource => {
  const base = "/api/v1/journal"
  const page = (params: object): Told<EventPage> =>
    Effect.map(
      requestPage<EventView>(url, `${base}/events?${queryOf(params)}`, eventFields),
      ({ data, meta }): EventPage => ({ events: data, nextSeq: Number(meta.cursor), hasNext: meta.hasnext })
    )
  return {
    last: (last, filter) => page({ last, ...filter }),
    from: (cursor, limit, filter) => page({ cursor, limit, ...filter }),
    show: (seq) => requestJson<ShownEvent>(url, `${base}/events/${seq}`, ["event", "causes", "origin"]),
    state: (actor, at) =>
      requestJson<StateView>(url, `${base}/state?${queryOf({ actor, at: at && textOf(at) })}`, [
        "actor",
        "seq",
        "state"
      ]),
    diff: (actor, from, to) =>
      requestJson<StateDiff>(url, `${base}/diff?${queryOf({ actor, from: textOf(from), to: textOf(to) })}`, diffFields),
    follow: (from, filter, onEvents) =>
      Effect.flatMap(fetched(url, `${base}/tail?${queryOf({ from, ...filter })}`, { signal: null }), (response) =>
        attempt(() => readTail(response, onEvents))
      )
  }
}

/** Its text as it comes. */
async function* textsOf(response: Response): AsyncGenerator<string, void> {
  try {
    yield* response.body!.pipeThrough(new TextDecoderStream())
  } catch (error) {
    // The server closes its live views when it stops.
    if (!(error instanceof TypeError)) throw error
  }
}

/** The `data` lines of server-sent events. */
const readTail = async (response: Response, onEvents: OnEvents): Promise<void> => {
  let rest = ""
  for await (const text of textsOf(response)) {
    const lines = (rest + text).split("\n")
    rest = lines.pop()!
    const data = lines.filter((line) => line.startsWith("data: "))
    await onEvents(data.map((line) => JSON.parse(line.slice(6)) as EventView))
  }
}

/** What is asked about the past: a server, or a data directory until the scope closes. */
export const openSource = (
  args: Arguments,
  io: Io
): Effect.Effect<JournalSource, CliError | JournalError, Scope.Scope> =>
  Effect.flatMap(directoryInstead(args), (directory) =>
    directory === undefined ? Effect.map(urlOf(args, io), online) : offline(directory)
  )
