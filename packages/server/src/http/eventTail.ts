import type { IncomingMessage, ServerResponse } from "node:http"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Broker } from "../Broker.ts"
import type { Log } from "../Log.ts"
import { eventsPage, followable, JournalQueryRefused, type EventFilter, type Past } from "../tools/journalTools.ts"

const eventsPerWrite = 200
/** A filter may pass over everything: some 5 ms of one turn of the event loop. */
const eventsLookedAtMax = 5000
const keepAliveMs = 15_000

interface Tail {
  readonly response: ServerResponse
  readonly filter: EventFilter
  nextSeq: Seq
}

/**
 * Journal events as they become durable, as server-sent events: `id` is the seq, so that a client goes on where it was. All
 * tails together get one page per turn of the event loop, one after the other, however many there are.
 */
export class EventTail {
  readonly #past: Past
  readonly #log: Log
  readonly #tailsMax: number
  readonly #tails = new Set<Tail>()
  /** There may be events for them; the first is the next one's. */
  readonly #ready = new Set<Tail>()
  #isPumping = false

  constructor(broker: Broker, past: Past) {
    this.#past = past
    this.#log = broker.log
    this.#tailsMax = broker.limits.httpEventTailsMax
    for (const { kind: name } of past.definitions) broker.shards.observe({ name }, () => this.#observed())
  }

  get isFull(): boolean {
    return this.#tails.size >= this.#tailsMax
  }

  /**
   * Writes until the client goes. `fromSeq` undefined: only what comes. A seq of the future, or a filter that nothing passes, is
   * refused before anything is sent.
   */
  serve(
    request: IncomingMessage,
    response: ServerResponse,
    fromSeq: Seq | undefined,
    filter: EventFilter
  ): Effect.Effect<void, JournalQueryRefused> {
    const nextSeq = fromSeq ?? this.#past.journal.nextSeq
    return followable(this.#past, nextSeq, filter).pipe(
      Effect.catchTag("JournalError", (error) => Effect.die(error)),
      Effect.map(() => this.#open(request, { response, filter, nextSeq }))
    )
  }

  #open(request: IncomingMessage, tail: Tail): void {
    const { response } = tail
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" })
    response.write(": journal\n\n")
    const keepAlive = setInterval(() => response.write(": \n\n"), keepAliveMs)
    this.#tails.add(tail)
    response.on("drain", () => this.#wake(tail))
    request.on("close", () => {
      clearInterval(keepAlive)
      this.#tails.delete(tail)
      this.#ready.delete(tail)
    })
    this.#wake(tail)
  }

  /** Called for each event of a commit: tails that are ready already are not touched. */
  #observed(): void {
    if (this.#ready.size === this.#tails.size) return
    for (const tail of this.#tails) this.#ready.add(tail)
    this.#pump()
  }

  #wake(tail: Tail): void {
    this.#ready.add(tail)
    this.#pump()
  }

  #pump(): void {
    if (this.#isPumping || this.#ready.size === 0) return
    this.#isPumping = true
    setImmediate(() => {
      this.#isPumping = false
      const [tail] = this.#ready
      if (tail === undefined) return
      this.#ready.delete(tail)
      if (this.#page(tail)) this.#ready.add(tail)
      this.#pump()
    })
  }

  /** Whether there may be more to write at once. */
  #page(tail: Tail): boolean {
    const { response, filter } = tail
    if (response.destroyed || response.writableNeedDrain) return false
    const page = Effect.runSyncExit(eventsPage(this.#past, tail.nextSeq, eventsPerWrite, filter, eventsLookedAtMax))
    if (Exit.isFailure(page)) {
      this.#ends(tail, Cause.squash(page.cause))
      return false
    }
    const { events, nextSeq, hasNext } = page.value
    tail.nextSeq = nextSeq
    for (const event of events) response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`)
    return hasNext
  }

  #ends(tail: Tail, error: unknown): void {
    this.#tails.delete(tail)
    // The actor that is asked for has gone meanwhile.
    if (error instanceof JournalQueryRefused) tail.response.end()
    else {
      this.#log.error("http: the journal cannot be read", { seq: tail.nextSeq, error: String(error) })
      tail.response.destroy()
    }
  }
}
