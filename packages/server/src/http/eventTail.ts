import type { IncomingMessage, ServerResponse } from "node:http"
import type { Seq } from "@logbrook/core/journal/Journal"
import type { Broker } from "../Broker.ts"
import { eventsPage, JournalQueryRefused, type EventFilter, type Past } from "../tools/journalTools.ts"

const eventsPerWrite = 200
const keepAliveMs = 15_000

/** Journal events as they become durable, as server-sent events: `id` is the seq, so that a client goes on where it was. */
export class EventTail {
  readonly #past: Past
  readonly #tailsMax: number
  readonly #wakes = new Set<() => void>()
  #isArmed = false

  constructor(broker: Broker, past: Past) {
    this.#past = past
    this.#tailsMax = broker.limits.httpEventTailsMax
    for (const { kind } of past.definitions) broker.shard.observe(kind, () => this.#observed())
  }

  /** Once per turn of the event loop, however many events a commit has. */
  #observed(): void {
    if (this.#isArmed || this.#wakes.size === 0) return
    this.#isArmed = true
    setImmediate(() => {
      this.#isArmed = false
      for (const wake of this.#wakes) wake()
    })
  }

  get isFull(): boolean {
    return this.#wakes.size >= this.#tailsMax
  }

  /** Writes until the client goes. `fromSeq` undefined: only what comes. Throws `JournalQueryRefused` before the head is written. */
  serve(request: IncomingMessage, response: ServerResponse, fromSeq: Seq | undefined, filter: EventFilter): void {
    let nextSeq = fromSeq ?? this.#past.journal.nextSeq
    // A filter that names no actor is refused before anything is sent.
    eventsPage(this.#past, this.#past.journal.nextSeq, 1, filter)
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" })
    response.write(": journal\n\n")
    let isUnderWay = false
    // A page a turn: a filter may pass over everything.
    const wake = (): void => {
      if (isUnderWay || response.writableNeedDrain || response.destroyed) return
      const page = this.#page(nextSeq, filter)
      if (page === undefined) {
        response.end()
        return
      }
      nextSeq = page.nextSeq
      for (const event of page.events) response.write(`id: ${event.seq}\ndata: ${JSON.stringify(event)}\n\n`)
      if (!page.hasNext) return
      isUnderWay = true
      setImmediate(() => {
        isUnderWay = false
        wake()
      })
    }
    const keepAlive = setInterval(() => response.write(": \n\n"), keepAliveMs)
    this.#wakes.add(wake)
    response.on("drain", wake)
    request.on("close", () => {
      clearInterval(keepAlive)
      this.#wakes.delete(wake)
    })
    wake()
  }

  /** Undefined: the actor that is asked for has gone meanwhile. */
  #page(fromSeq: Seq, filter: EventFilter) {
    try {
      return eventsPage(this.#past, fromSeq, eventsPerWrite, filter)
    } catch (error) {
      if (error instanceof JournalQueryRefused) return undefined
      throw error
    }
  }
}
