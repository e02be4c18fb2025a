import { Random } from "../../simulation/Random.ts"
import { type Conversation, conversationOf, packetEnd } from "./Conversation.ts"
import { compared, type Extent, type Fate } from "./comparison.ts"
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

/** How far a conversation was compared, and whether anything was delivered in it. */
export interface Conversed {
  readonly extent: Extent
  readonly delivers: boolean
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
  converse(number: number): Conversed {
    const conversation = conversationOf(number)
    const fates = ways.map((way, i) => this.#carry(conversation, way, this.#servers[i]!))
    const waited = fates[ways.indexOf("bytes")]!
    const { extent, differs, isSame } = compared(fates, waited, conversation.acknowledges)
    if (differs !== undefined) throw differing(number, differs, fates)
    if (!isSame) this.#beginAnew()
    return { extent, delivers: fates.some(({ deliveries }) => deliveries.length > 0) }
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
      let said = 0
      let nextPacketAt = 0
      for (const piece of cut(burst, way, random)) {
        if (way === "bytes" && said === nextPacketAt) {
          server.rest()
          nextPacketAt = packetEnd(burst, said)
        }
        said += piece.length
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
    const [own, others] = [sent(number, open), sent(number, before)]
    const both = (part: "answers" | "releases"): string => `${own[part]}\n${others[part]}`
    return {
      answers: both("answers"),
      releases: both("releases"),
      refusals: server.takeRefusals().toSorted().join("\n"),
      left,
      deliveries: [...own.deliveries, ...others.deliveries],
      tooLarge: server.takeTooLarge(),
      sessionBytes: server.sessionBytes(),
      waiting: server.waiting(),
      withIds: own.withIds.join(" "),
      hasEnded,
      isFull: isFull(own, open) || isFull(others, before),
      // Who joins others may have left them by now.
      shared: server.sharedFilters((filter) => bursts.some((burst) => burst.includes(filter)))
    }
  }
}

const differing = (number: number, what: string, fates: ReadonlyArray<Fate>): Finding => {
  const told = fates.map(({ deliveries, shared, waiting: _, hasEnded, isFull, ...parts }, i) => {
    const texts = deliveries.map(({ text }) => text).toSorted()
    const notes = `${hasEnded ? "ended, " : ""}${isFull ? "full, " : ""}shared: ${[...shared].join(" ")}`
    return `${ways[i]}: ${notes}\n${[...Object.values(parts), ...texts].join("\n")}`
  })
  return new Finding(number, `${what} differ\n${told.join("\n\n")}`)
}

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

const isFull = ({ idsUsed }: Sent, open: Open | undefined): boolean =>
  idsUsed > 0 && idsUsed >= open!.connection.inflightMax

const sent = (number: number, open: Open | undefined): Sent => {
  const bytes = open?.peer.received ?? Buffer.alloc(0)
  try {
    return sentOf(bytes, open?.connection.version ?? 0)
  } catch (error) {
    throw new Finding(number, `${(error as Error).message}: ${bytes.toString("hex")}`)
  }
}
