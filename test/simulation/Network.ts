import { crc32c } from "@node-rs/crc32"
import type { NetworkPlan } from "./Plan.ts"
import type { Random } from "./Random.ts"
import type { Scheduler } from "./Scheduler.ts"

/** Bytes on their way, with what the disk held when they were written. */
interface Piece {
  bytes: Uint8Array
  readonly dueUs: number
  readonly durableSeq: number
  readonly writtenMs: number
  /** Of the whole write: whoever wrote it must leave it alone until it has been taken. */
  readonly crc: number
  whole: Uint8Array
  /** Of the direction's bytes: where the write ends. */
  readonly endBytes: number
  isOwn: boolean
}

export interface Stamp {
  readonly durableSeq: number
  readonly writtenMs: number
}

/** The receiving end of one direction. */
export interface Receiver {
  /** The chunk is overwritten when the call returns. */
  readonly onBytes: (chunk: Uint8Array, stamp: Stamp) => void
  readonly onEnd: () => void
}

export interface NetworkWatch {
  readonly violated: (message: string) => void
  readonly durableSeq: () => number
}

const tinyPiecesMax = 300

/** One direction of a connection: in order, in pieces of any size, as fast as the reader takes them. */
export class Pipe {
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #plan: NetworkPlan
  readonly #watch: NetworkWatch
  readonly #pieces: Array<Piece> = []
  readonly #cutting: "whole" | "some" | "tiny"
  #receiver: Receiver | undefined
  #lastDueUs = 0
  #isScheduled = false
  #isPaused = false
  #isEnding = false
  #isDead = false
  #tinyLeft = tinyPiecesMax
  #stalledUntilUs = 0
  #writtenBytes = 0
  /** Written and not yet taken. */
  unsentBytes = 0
  /** Runs whenever bytes were taken. */
  onTaken: (() => void) | undefined

  constructor(scheduler: Scheduler, random: Random, plan: NetworkPlan, watch: NetworkWatch) {
    this.#scheduler = scheduler
    this.#random = random
    this.#plan = plan
    this.#watch = watch
    this.#cutting = random.pick(plan.cutting)
  }

  attach(receiver: Receiver): void {
    this.#receiver = receiver
    this.#schedule()
  }

  write(bytes: Uint8Array): void {
    if (this.#isDead || this.#isEnding || bytes.length === 0) return
    const { latencyUsMin, latencyUsMax } = this.#plan
    this.#lastDueUs = Math.max(this.#lastDueUs, this.#scheduler.nowUs + this.#random.tail(latencyUsMin, latencyUsMax))
    this.unsentBytes += bytes.length
    this.#pieces.push({
      bytes,
      dueUs: this.#lastDueUs,
      durableSeq: this.#watch.durableSeq(),
      writtenMs: this.#scheduler.elapsedMs,
      crc: crc32c(bytes),
      whole: bytes,
      endBytes: (this.#writtenBytes += bytes.length),
      isOwn: false
    })
    this.#schedule()
  }

  /** The system has copied what was written up to here: its writer may use those bytes again. */
  copied(endBytes: number): void {
    for (const piece of this.#pieces) {
      if (piece.endBytes > endBytes) return
      if (piece.isOwn) continue
      this.#check(piece)
      const leftAt = piece.whole.length - piece.bytes.length
      piece.whole = new Uint8Array(piece.whole)
      piece.bytes = piece.whole.subarray(leftAt)
      piece.isOwn = true
    }
  }

  #check({ whole, crc }: Piece): void {
    if (crc32c(whole) !== crc) this.#watch.violated("bytes changed after they were written to a socket")
  }

  /** Behind what was written. */
  end(): void {
    if (this.#isDead || this.#isEnding) return
    this.#isEnding = true
    this.#lastDueUs = Math.max(this.#lastDueUs, this.#scheduler.nowUs + 50)
    this.#schedule()
  }

  /** What is on its way is lost; nobody is told. */
  kill(): void {
    this.#isDead = true
    this.#pieces.length = 0
    this.unsentBytes = 0
    this.#receiver = undefined
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#schedule()
  }

  stall(ms: number): void {
    this.#stalledUntilUs = Math.max(this.#stalledUntilUs, this.#scheduler.nowUs + ms * 1000)
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isDead || this.#isPaused || this.#receiver === undefined) return
    const first = this.#pieces[0]
    if (first === undefined && !this.#isEnding) return
    this.#isScheduled = true
    const dueUs = Math.max(first?.dueUs ?? this.#lastDueUs, this.#stalledUntilUs)
    this.#scheduler.after(Math.max(1, dueUs - this.#scheduler.nowUs), () => {
      this.#isScheduled = false
      if (this.#isDead || this.#isPaused) return
      if (this.#stalledUntilUs <= this.#scheduler.nowUs) this.#deliver()
      this.#schedule()
    })
  }

  /** How much of what has come together a read takes. */
  #cut(available: number): number {
    if (this.#cutting === "whole") return available
    if (this.#cutting === "some") return this.#random.chance(0.5) ? available : this.#random.between(1, available)
    if (this.#tinyLeft <= 0) return available
    this.#tinyLeft--
    return Math.min(available, this.#random.between(1, 3))
  }

  #deliver(): void {
    const first = this.#pieces[0]
    if (first === undefined) {
      if (this.#isEnding) {
        this.#isDead = true
        this.#receiver?.onEnd()
      }
      return
    }
    const taken: Array<Uint8Array> = []
    let left = this.#cut(this.#availableBytes(first))
    while (left > 0) {
      const piece = this.#pieces[0]!
      this.#check(piece)
      const part = piece.bytes.subarray(0, left)
      taken.push(part)
      left -= part.length
      if (part.length === piece.bytes.length) this.#pieces.shift()
      else piece.bytes = piece.bytes.subarray(part.length)
    }
    const chunk = Buffer.concat(taken)
    this.unsentBytes -= chunk.length
    this.#receiver!.onBytes(chunk, first)
    chunk.fill(0xdb)
    this.onTaken?.()
  }

  /** Writes of the same moment of the disk only, so that an answer that came too early is not hidden by a later one. */
  #availableBytes(first: Piece): number {
    let bytes = 0
    for (const piece of this.#pieces) {
      if (piece.dueUs > this.#scheduler.nowUs || piece.durableSeq !== first.durableSeq) break
      bytes += piece.bytes.length
    }
    return bytes
  }
}

/** Both directions, and how they end. */
export class Link {
  readonly toServer: Pipe
  readonly toClient: Pipe
  readonly #scheduler: Scheduler
  readonly #random: Random
  isBroken = false
  #hasClientEnded = false
  #hasServerEnded = false
  /** Each is told once, in its own time. */
  onServerClosed: (() => void) | undefined
  onClientClosed: (() => void) | undefined

  constructor(scheduler: Scheduler, random: Random, plan: NetworkPlan, watch: NetworkWatch) {
    this.#scheduler = scheduler
    this.#random = random
    this.toServer = new Pipe(scheduler, random, plan, watch)
    this.toClient = new Pipe(scheduler, random, plan, watch)
  }

  /** The server ends its side behind what it wrote; its socket closes once the client has ended the other one. */
  serverEnds(): void {
    this.#hasServerEnded = true
    this.toClient.end()
    this.#closeServer()
  }

  /** The server has read the end of the client's side. */
  clientEnded(): void {
    this.#hasClientEnded = true
    this.#closeServer()
  }

  #closeServer(): void {
    if (this.#hasClientEnded && this.#hasServerEnded) this.#scheduler.after(1, () => this.tellServer())
  }

  /** The connection is gone; each side hears of it after its own delay, at most `ms`. */
  break(serverMs: number, clientMs: number): void {
    if (this.isBroken) return
    this.isBroken = true
    this.toServer.kill()
    this.toClient.kill()
    this.#scheduler.after(serverMs * 1000, () => this.tellServer())
    this.#scheduler.after(clientMs * 1000, () => this.tellClient())
  }

  breakSoon(msMax: number): void {
    this.break(this.#random.tail(0, msMax), this.#random.tail(0, msMax))
  }

  tellServer(): void {
    const told = this.onServerClosed
    this.onServerClosed = undefined
    told?.()
  }

  tellClient(): void {
    const told = this.onClientClosed
    this.onClientClosed = undefined
    told?.()
  }
}
