import type { MessageRef, SessionEvent } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import type { StreamShareState } from "@logbrook/actors/streamShare/StreamShare"
import type { StreamShareEvent } from "@logbrook/actors/streamShare/StreamShareProtocol"
import type { Model, ModelLog } from "./Model.ts"

const pattern = /^\$share\/[^/]+\/\$stream\/([^/]+)$/

interface Move {
  readonly filter: string
  readonly from: string
  readonly to: string
  readonly logId: number
  readonly offset: number
}

/**
 * The groups that read streams, from the journaled events alone: their position passes no record that does not wait for a member, and
 * behind every commit a record that was dealt out is with the session that it was dealt to, and one that a session has given
 * back waits, unless it is read again; a session without a connection has nothing that it was not sent. Groups without a narrower
 * filter only.
 */
export class StreamShareWatch {
  readonly #model: Model
  readonly #violated: (message: string) => void
  #dealtOut: Array<Move> = []
  #givenBack: Array<Move> = []
  /** Records of QoS 2 that were sent and not received when their session ended: they go to nobody else. By log id and offset. */
  readonly #gone = new Set<string>()
  /** Sessions whose queue or connection has changed. */
  readonly #changed = new Set<string>()

  constructor(model: Model, violated: (message: string) => void) {
    this.#model = model
    this.#violated = violated
  }

  #logs(filter: string): ReadonlyArray<ModelLog> {
    const name = pattern.exec(filter)?.[1]
    const logIds = name === undefined ? [] : (this.#model.streams.get(name)?.logIds ?? [])
    return logIds.map((logId) => this.#model.log(logId))
  }

  #stateOf(filter: string): StreamShareState | undefined {
    return this.#model.state(`streamShare/${filter}`)
  }

  /** Before the event is folded. */
  before(filter: string, event: StreamShareEvent): void {
    const logs = this.#logs(filter)
    if (event._tag === "SharePositionMoved") {
      const known = new Set(event.records.map(({ partition, offset }) => `${partition}/${offset}`))
      const { positions } = this.#stateOf(filter)!.reading!
      for (const [partition, to] of event.positions) {
        const log = logs[partition]
        if (log === undefined) continue
        for (let offset = positions[partition] ?? 0; offset < to; offset++) {
          if (offset < log.startOffset || !this.#model.transactionsOf(log.id).isVisible(offset)) continue
          if (known.has(`${partition}/${offset}`)) continue
          this.#violated(`the position of ${filter} passes ${partition}:${offset}, which nobody has`)
        }
      }
    } else if (event._tag === "ShareHandedOut" && event.to !== null) {
      for (const [partition, offset] of event.records) {
        const log = logs[partition]
        if (log !== undefined) this.#dealtOut.push({ filter, from: filter, to: event.to, logId: log.id, offset })
      }
    }
  }

  /** Before the event is folded. */
  beforeOfSession(clientId: string, event: SessionEvent): void {
    if (event._tag === "SessionDisconnected" || event._tag === "MessagesQueued") this.#changed.add(clientId)
    if (event._tag === "SessionEnded") this.#ended(clientId)
    if (event._tag !== "SharedHandedOn" || event.to === null || !pattern.test(event.to)) return
    const ids = new Set(event.releaseIds)
    for (const { releaseId, logId, offset } of this.#sessionOf(clientId)!.released) {
      if (ids.has(releaseId)) this.#givenBack.push({ filter: event.to, from: clientId, to: event.to, logId, offset })
    }
  }

  #ended(clientId: string): void {
    for (const { share, qos, phase, logId, offset } of this.#sessionOf(clientId)?.queue.values() ?? []) {
      const isGroups = share !== undefined && pattern.test(share)
      if (isGroups && qos === 2 && phase === "sent") this.#gone.add(`${logId}:${offset}`)
    }
  }

  hasGone(logId: number, offset: number): boolean {
    return this.#gone.has(`${logId}:${offset}`)
  }

  #sessionOf(clientId: string): SessionState | undefined {
    return this.#model.state(`session/${clientId}`)
  }

  endFrame(): void {
    for (const { filter, to, logId, offset } of this.#dealtOut) {
      const state = this.#sessionOf(to)
      const isIt = (ref: MessageRef): boolean => ref.share === filter && ref.logId === logId && ref.offset === offset
      const isThere = state !== undefined && [...state.queue.values(), ...state.released].some(isIt)
      if (!isThere) this.#violated(`${filter} says that ${to} has ${logId}:${offset}, and it has not`)
    }
    for (const { filter, from, logId, offset } of this.#givenBack) {
      const state = this.#stateOf(filter)
      const partition = this.#logs(filter).findIndex(({ id }) => id === logId)
      if (partition === -1 || state?.reading == null) continue
      const isAhead = offset >= (state.reading.positions[partition] ?? 0)
      const isWaiting = state.waiting.placesAmong([[partition, offset]]).length > 0
      if (!isAhead && !isWaiting) this.#violated(`${from} gives ${logId}:${offset} back, and ${filter} has not got it`)
    }
    for (const clientId of this.#changed) this.#lookAt(clientId)
    this.#dealtOut = []
    this.#givenBack = []
    this.#changed.clear()
  }

  #lookAt(clientId: string): void {
    const state = this.#sessionOf(clientId)
    if (state === undefined || state.life.connectionId !== null) return
    for (const { share, phase, logId, offset } of state.queue.values()) {
      if (phase !== "queued" || share === undefined || !pattern.test(share)) continue
      this.#violated(`${clientId} has gone with ${logId}:${offset} of ${share}, which it was not sent`)
    }
  }
}
