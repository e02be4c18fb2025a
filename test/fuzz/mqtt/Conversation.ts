import { Random } from "../../simulation/Random.ts"
import type { Draft } from "./Draft.ts"
import { connect, packet, type Version } from "./grammar.ts"
import { mutate, write } from "./mutate.ts"

/**
 * How a client ends: it closes its side at once, or when it has been answered; its connection breaks then; or it stays, and
 * closes its side when the next conversation is over, which may have taken its session.
 */
export type End = "closes" | "waitsAndCloses" | "breaks" | "stays"

/** What one client says over one connection. */
export interface Conversation {
  readonly number: number
  readonly version: Version
  /** Before each of these but the first, the client waits for what the server has to say. */
  readonly bursts: ReadonlyArray<Buffer>
  /** It has acknowledgements of deliveries. */
  readonly acknowledges: boolean
  readonly end: End
  /** The time that passes behind it. */
  readonly pauseMs: number
}

const ends: ReadonlyArray<End> = ["closes", "closes", "closes", "waitsAndCloses", "breaks", "stays"]

/** How many mutations a conversation gets: some none, since what is right has to come through as well. */
const mutationsOf = (random: Random): number => random.pick([0, 1, 1, 1, 1, 2, 2, 3])

/** Packets in another order, left out, or twice. */
const shuffle = (drafts: Array<Draft>, random: Random): void => {
  const at = random.between(0, drafts.length - 1)
  const roll = random.next()
  if (roll < 0.4) drafts.splice(random.between(0, drafts.length), 0, drafts[at]!)
  else if (roll < 0.7) drafts.splice(at, 1)
  else drafts.push(...drafts.splice(at, 1))
}

const publishType = 3
const ackTypes = [4, 5, 7]
const subscribeType = 8
const filterTypes = [subscribeType, 10]

/** It acknowledges what it was sent. */
const isAck = (type: number): boolean => ackTypes.includes(type)

/** It replaces what a new subscriber gets. */
const isRetained = (first: number): boolean => first >>> 4 === publishType && (first & 1) === 1

/** It reads what is stored by then, and what is new behind it; or it ends that. */
const isStreamRead = (type: number, body: Buffer): boolean => filterTypes.includes(type) && body.includes("$stream/")

/** Where the body of the packet begins that begins at `at`, and where it ends, as the server will see it. */
const bodyOf = (bytes: Buffer, at: number): { readonly start: number; readonly end: number } => {
  let length = 0
  let start = at + 1
  for (let shift = 0; start < bytes.length && shift < 28; shift += 7) {
    const byte = bytes[start++]!
    length |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  return { start, end: start + length }
}

/** Whether topic filters with an octet of options behind each, which begin at `from`, have one twice. */
const haveOneTwice = (body: Buffer, from: number): boolean => {
  const filters = new Set<string>()
  for (let at = from; at + 2 <= body.length;) {
    const end = at + 2 + body.readUInt16BE(at)
    const filter = body.toString("latin1", at + 2, end)
    if (filters.has(filter)) return true
    filters.add(filter)
    at = end + 1
  }
  return false
}

/** A subscription of it replaces another one of it, for which retained messages may be on their way. With and without properties. */
const replacesItsOwn = (type: number, body: Buffer): boolean =>
  type === subscribeType && (haveOneTwice(body, 2) || haveOneTwice(body, bodyOf(body, 1).end))

export const packetEnd = (bytes: Buffer, at: number): number => bodyOf(bytes, at).end

/** Where what is right may depend on the moment, the client waits before it goes on. */
const burstsOf = (bytes: Buffer): ReadonlyArray<Buffer> => {
  const bursts: Array<Buffer> = []
  let burstAt = 0
  /** What is retained for its filters may be on its way. */
  let hasSubscribed = false
  const waitAt = (at: number): void => {
    if (at === burstAt || at >= bytes.length) return
    bursts.push(bytes.subarray(burstAt, at))
    burstAt = at
    hasSubscribed = false
  }
  for (let at = 0; at < bytes.length;) {
    const { start, end } = bodyOf(bytes, at)
    const first = bytes[at]!
    const type = first >>> 4
    const body = bytes.subarray(start, end)
    const isRead = isStreamRead(type, body)
    const changesAgain = (filterTypes.includes(type) && hasSubscribed) || replacesItsOwn(type, body)
    if (isRead || isAck(type) || isRetained(first) || changesAgain) waitAt(at)
    hasSubscribed ||= type === subscribeType
    if (isRead) waitAt(end)
    at = end
  }
  bursts.push(bytes.subarray(burstAt))
  return bursts
}

/** The same for a number, always. */
export const conversationOf = (number: number): Conversation => {
  const random = new Random(number, "conversation")
  const version = random.pick([3, 4, 4, 5, 5, 5] as const)
  const drafts = [connect(random, version)]
  for (let count = random.between(0, 8); count > 0; count--) {
    drafts.push(packet(random, random.chance(0.02) ? random.pick([3, 4, 5] as const) : version))
  }
  let wrongAt = -1
  for (let left = mutationsOf(random); left > 0; left--) {
    const roll = random.next()
    if (drafts.length === 0) break
    if (roll < 0.12) shuffle(drafts, random)
    else if (roll < 0.2) wrongAt = random.between(0, drafts.length - 1)
    else mutate(random.pick(drafts), random)
  }
  const bytes: Array<number> = []
  for (const [at, draft] of drafts.entries()) write(bytes, draft, at === wrongAt, random)
  if (random.chance(0.08)) bytes.length = random.between(0, bytes.length)
  const bursts = burstsOf(Buffer.from(bytes))
  return {
    number,
    version,
    bursts,
    acknowledges: bursts.some((burst) => burst.length > 0 && isAck(burst[0]! >>> 4)),
    end: random.pick(ends),
    pauseMs: random.pick([0, 0, 0, 0, 0, 1, 1500, 70_000])
  }
}
