import { Random } from "../../simulation/Random.ts"
import { type Conversation, conversationOf, packetEnd } from "./Conversation.ts"
import { type Sent, sentOf } from "./fate.ts"
import { FuzzServer, type Open } from "./FuzzServer.ts"
import type { Turns } from "./Turns.ts"

/** How a conversation's bytes reach the server. */
const ways = ["whole", "bytes", "pieces"] as const
type Way = (typeof ways)[number]

/** So many conversations one server has after another, whose sessions and retained messages the later ones find. */
export const batchSize = 1000
const pieceBytesMax = 40
const turnsMax: Readonly<Record<Way, number>> = { whole: 0, bytes: 1, pieces: 3 }

/** What came of a conversation. */
interface Fate {
  readonly answers: string
  readonly deliveries: string
  readonly refusals: string
  readonly left: string
  /** On the accounts, for sessions and for what waits for them. */
  readonly sessionBytes: string
  /** The deliveries that were to be acknowledged, by packet id. */
  readonly withIds: string
  /**
   * What was delivered follows from the order in which things came: a connection has ended, with what was on its way, or had as many
   * deliveries as its client takes at once, or others share a subscription.
   */
  readonly isCut: boolean
}

/** A conversation that did not come out as it has to. */
export class Finding extends Error {
  readonly number: number

  constructor(number: number, message: string) {
    super(message)
    this.number = number
  }
}

/**
 * Conversations one after the other, each over three servers, which find what earlier ones have left in them: one gets its bytes whole, one
 * byte by byte, one in pieces.
 */
export class Batch {
  readonly #turns: Turns
  #servers: ReadonlyArray<FuzzServer>

  constructor(turns: Turns) {
    this.#turns = turns
    this.#servers = this.#newServers()
  }

  #newServers(): ReadonlyArray<FuzzServer> {
    return ways.map(() => {
      this.#turns.seed(0)
      return new FuzzServer(this.#turns)
    })
  }

  /** Throws a `Finding` if the servers differ in what they answer, refuse or keep, or one does what must never be. */
  converse(number: number): void {
    const conversation = conversationOf(number)
    const fates = ways.map((way, i) => this.#carry(conversation, way, this.#servers[i]!))
    const [whole] = fates
    for (const fate of fates) {
      if (conversation.acknowledges && !isSame(fate, whole!, ["withIds"])) return this.#beginAnew()
      if (!isSame(fate, whole!, ["answers", "refusals", "left"])) throw differs(number, fates)
      if (isSame(fate, whole!, ["deliveries", "sessionBytes"])) continue
      if (!fate.isCut && !whole!.isCut) throw differs(number, fates)
      return this.#beginAnew()
    }
  }

  /** The servers differ, and each is right: what comes next has nothing that it could be compared with. */
  #beginAnew(): void {
    this.#servers = this.#newServers()
  }

  #carry({ number, bursts, end, pauseMs }: Conversation, way: Way, server: FuzzServer): Fate {
    this.#turns.seed(number)
    const random = new Random(number, way)
    const open = server.connect()
    const all = server.hasLeavings ? withPauseBehindConnect(bursts) : bursts
    for (const [i, burst] of all.entries()) {
      if (i > 0) server.rest()
      for (const piece of cut(burst, way, random)) {
        server.say(open, piece)
        if (way !== "whole") server.pass(random, turnsMax[way])
      }
    }
    if (end === "waitsAndCloses" || way === "bytes") server.rest()
    const before = server.takeStaying()
    const hasEnded = end === "closes" || open.peer.hasEnded || before?.peer.hasEnded === true
    if (end === "stays") server.stay(open)
    else if (end === "breaks") server.break(open)
    else server.close(open)
    if (before !== undefined) server.close(before)
    server.passTime(pauseMs)
    const left = server.left()
    if (server.faults.length > 0) throw new Finding(number, `${way}: ${server.faults.join("\n")}`)
    const [own, others] = [sent(number, open.peer.received), sent(number, before?.peer.received)]
    return {
      answers: `${own.answers}\n${others.answers}`,
      deliveries: `${own.deliveries}\n${others.deliveries}`,
      refusals: server.takeRefusals().toSorted().join("\n"),
      left,
      sessionBytes: server.sessionBytes(),
      withIds: own.withIds.join(" "),
      isCut: hasEnded || server.hasShared || isFull(own, open) || isFull(others, before)
    }
  }
}

const isSame = (a: Fate, b: Fate, parts: ReadonlyArray<keyof Fate>): boolean =>
  parts.every((part) => a[part] === b[part])

const differs = (number: number, fates: ReadonlyArray<Fate>): Finding =>
  new Finding(number, fates.map((fate, i) => `${ways[i]}:\n${Object.values(fate).join("\n")}`).join("\n\n"))

/** What a CONNECT leads to for others, it may lead to for its own client as well, once that has subscribed. */
const withPauseBehindConnect = ([first, ...rest]: ReadonlyArray<Buffer>): ReadonlyArray<Buffer> => {
  const end = packetEnd(first!, 0)
  return [first!.subarray(0, end), first!.subarray(end), ...rest]
}

/** Copies: the server's chunks are overwritten when it has looked at them. */
const cut = function* (bytes: Buffer, way: Way, random: Random): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = way === "whole" ? bytes.length : way === "bytes" ? at + 1 : at + random.between(1, pieceBytesMax)
    yield Uint8Array.prototype.slice.call(bytes, at, end)
    at = end
  }
}

const isFull = ({ withIds }: Sent, open: Open | undefined): boolean =>
  open !== undefined && withIds.length >= open.connection.inflightMax

const sent = (number: number, bytes: Buffer = Buffer.alloc(0)): Sent => {
  try {
    return sentOf(bytes)
  } catch (error) {
    throw new Finding(number, `${(error as Error).message}: ${bytes.toString("hex")}`)
  }
}
