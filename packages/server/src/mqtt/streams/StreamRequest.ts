import { isStreamName } from "@logbrook/core/StreamName"
import type { UserProperties } from "@logbrook/protocols/mqtt/Packet"
import { parseSharedFilter } from "@logbrook/protocols/mqtt/TopicNames"
import { StreamRefused } from "./StreamRefused.ts"
import { parseStreamTime } from "./streamTime.ts"

/** By partition. Those that are not named are not read. */
export type PartitionOffsets = ReadonlyMap<number, number>

/** The first record that is wanted. Times are Unix ms. */
export type StreamStart =
  | { readonly _tag: "Earliest" }
  | { readonly _tag: "Latest" }
  | { readonly _tag: "Time"; readonly atMs: number }
  /** So many of the whole stream, by time over its partitions. */
  | { readonly _tag: "Last"; readonly count: number }
  | { readonly _tag: "Offsets"; readonly offsets: PartitionOffsets }

/** Where reading ends: what lies at or behind it is not delivered. */
export type StreamEnd =
  | { readonly _tag: "Now" }
  | { readonly _tag: "Time"; readonly atMs: number }
  | { readonly _tag: "Offsets"; readonly offsets: PartitionOffsets }

/** A `$stream` subscription as its client asks for it. */
export interface StreamRequest {
  /** The name of the subscription: its filter without options, `[$share/GROUP/]$stream/NAME[/FILTER]`. */
  readonly filter: string
  readonly stream: string
  /** Narrower than the stream; undefined: all of it. */
  readonly topicFilter: string | undefined
  readonly start: StreamStart
  /** Undefined: the reader follows the stream. */
  readonly end: StreamEnd | undefined
  /** Deliveries have the topic `$stream/NAME/TOPIC` instead of the message's own. */
  readonly isFullTopic: boolean
  /** The stream need not exist yet. */
  readonly waits: boolean
  /** Begins anew where the session already has a position. */
  readonly resets: boolean
}

/** The options by their names in a filter, with those of MQTT 5's user properties. */
const propertyNames: ReadonlyMap<string, string> = new Map([
  ["from", "stream-offset"],
  ["until", "stream-until"],
  ["topic", "stream-topic"],
  ["wait", "stream-wait"],
  ["reset", "stream-reset"]
])
const optionNames = new Map(Array.from(propertyNames, ([option, property]) => [property, option]))

type Options = ReadonlyMap<string, string>

const prefix = "$stream"

/** Whether a subscription's filter asks for a stream. */
export const isStreamFilter = (filter: string): boolean => filter === prefix || filter.startsWith(`${prefix}/`)

interface FilterParts {
  readonly name: string
  /** Behind `?`; undefined: there is none. */
  readonly query: string | undefined
  readonly topicFilter: string | undefined
}

const partsOf = (filter: string): FilterParts => {
  const nameAt = prefix.length + 1
  const end = filter.indexOf("/", nameAt)
  const [name, ...rest] = filter.slice(nameAt, end === -1 ? undefined : end).split("?")
  const query = rest.length === 0 ? undefined : rest.join("?")
  return { name: name!, query, topicFilter: end === -1 ? undefined : filter.slice(end + 1) }
}

const nameOf = ({ name, topicFilter }: FilterParts): string =>
  topicFilter === undefined ? `${prefix}/${name}` : `${prefix}/${name}/${topicFilter}`

/** `$share/GROUP/` in front of a filter, and the rest. */
const shareOf = (filter: string): readonly [share: string, own: string] => {
  const shared = parseSharedFilter(filter)
  return shared === undefined ? ["", filter] : [`$share/${shared.shareName}/`, shared.filter]
}

/** Whether it is a filter `$share/GROUP/$stream/…`, whose members have one position. */
export const isSharedStreamFilter = (filter: string): boolean => {
  const [share, own] = shareOf(filter)
  return share !== "" && isStreamFilter(own)
}

/** The name of the subscription that a filter asks for, or ends; of other filters they themselves. */
export const subscriptionName = (filter: string): string => {
  const [share, own] = shareOf(filter)
  return isStreamFilter(own) ? share + nameOf(partsOf(own)) : filter
}

/** The stream and narrower filter of a subscription's name. */
export const streamOfFilter = (filter: string): Pick<FilterParts, "name" | "topicFilter"> => partsOf(shareOf(filter)[1])

/** `$stream/NAME` as a topic, on which records without a topic of their own arrive. */
export const streamTopic = (stream: string): string => `${prefix}/${stream}`

/** In a reason string, which has no room for NUL, and is read on terminals. */
const shown = (text: string): string => `"${text.slice(0, 64).replaceAll(/\p{Cc}/gu, "\ufffd")}"`

const set = (options: Map<string, string>, name: string, value: string): void => {
  if (options.has(name)) throw new StreamRefused("RepeatedOption", `the option ${name} is there twice`)
  options.set(name, value)
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new StreamRefused("OptionValue", `${shown(text)} is not percent-encoded`)
  }
}

const queryOptions = (query: string): Options => {
  const options = new Map<string, string>()
  for (const part of query.split("&")) {
    const [name, ...value] = part.split("=")
    if (!propertyNames.has(name!)) {
      const known = [...propertyNames.keys()].join(", ")
      throw new StreamRefused("UnknownOption", `there is no option ${shown(name!)}; there are ${known}`)
    }
    set(options, name!, decoded(value.join("=")))
  }
  return options
}

const propertyOptions = (userProperties: UserProperties): Options => {
  const options = new Map<string, string>()
  for (const [name, value] of userProperties) {
    const option = optionNames.get(name)
    if (option !== undefined) set(options, option, value)
    else if (name.startsWith("stream-")) {
      const known = [...propertyNames.values()].join(", ")
      throw new StreamRefused("UnknownOption", `there is no property ${shown(name)}; there are ${known}`)
    }
  }
  return options
}

const badValue = (name: string, value: string, wanted: string): StreamRefused =>
  new StreamRefused("OptionValue", `${propertyNames.get(name)!} is ${shown(value)}: it has to be ${wanted}`)

const partitionOffset = /^offset:(\d{1,9}):(\d{1,15})$/

/** `offset:PARTITION:OFFSET`, several with commas between them; undefined: it is not of this form. */
const parseOffsets = (text: string): PartitionOffsets | undefined => {
  const offsets = new Map<number, number>()
  for (const part of text.split(",")) {
    const [, partition, offset] = partitionOffset.exec(part) ?? []
    if (partition === undefined || offsets.has(Number(partition))) return undefined
    offsets.set(Number(partition), Number(offset))
  }
  return offsets
}

const lastCount = /^last:(\d{1,15})$/

const startOf = (text: string | undefined, nowMs: number): StreamStart => {
  if (text === undefined || text === "latest") return { _tag: "Latest" }
  if (text === "earliest") return { _tag: "Earliest" }
  const count = lastCount.exec(text)?.[1]
  if (count !== undefined) return { _tag: "Last", count: Number(count) }
  const offsets = parseOffsets(text)
  if (offsets !== undefined) return { _tag: "Offsets", offsets }
  const atMs = parseStreamTime(text, nowMs)
  if (atMs !== undefined) return { _tag: "Time", atMs }
  const wanted = "earliest, latest, a Unix time in µs, ISO 8601, such as -24h, last:N or offset:PARTITION:OFFSET"
  throw badValue("from", text, wanted)
}

const endOf = (text: string | undefined, nowMs: number): StreamEnd | undefined => {
  if (text === undefined) return undefined
  if (text === "now") return { _tag: "Now" }
  const offsets = parseOffsets(text)
  if (offsets !== undefined) return { _tag: "Offsets", offsets }
  const atMs = parseStreamTime(text, nowMs)
  if (atMs !== undefined) return { _tag: "Time", atMs }
  const wanted = "now, a Unix time in µs, ISO 8601, such as -1h or offset:PARTITION:OFFSET"
  throw badValue("until", text, wanted)
}

const isFull = (text: string | undefined): boolean => {
  if (text === undefined || text === "full" || text === "original") return text === "full"
  throw badValue("topic", text, "full or original")
}

const flag = (options: Options, name: string): boolean => {
  const text = options.get(name)
  if (text === undefined || text === "0" || text === "1") return text === "1"
  throw badValue(name, text, "1 or 0")
}

/**
 * Reads a filter for which `isStreamFilter` or `isSharedStreamFilter` holds, with the user properties of its SUBSCRIBE. The options in the filter,
 * `$stream/NAME?from=earliest&until=now/FILTER`, come first: they are of this filter alone. The filter is a valid one, but for its name.
 * Throws `StreamRefused`.
 */
export const parseStreamRequest = (
  filter: string,
  userProperties: UserProperties | undefined,
  nowMs: number
): StreamRequest => {
  const [share, own] = shareOf(filter)
  const parts = partsOf(own)
  const { name, query, topicFilter } = parts
  if (!isStreamName(name)) {
    throw new StreamRefused(
      "StreamName",
      `${shown(name)} is no stream's name: it is $stream/NAME or $stream/NAME/FILTER`
    )
  }
  if (topicFilter === "") throw new StreamRefused("CannotMatch", "there is nothing behind the last /")
  const options = new Map([
    ...propertyOptions(userProperties ?? []),
    ...(query === undefined ? [] : queryOptions(query))
  ])
  return {
    filter: share + nameOf(parts),
    stream: name,
    topicFilter,
    start: startOf(options.get("from"), nowMs),
    end: endOf(options.get("until"), nowMs),
    isFullTopic: isFull(options.get("topic")),
    waits: flag(options, "wait"),
    resets: flag(options, "reset")
  }
}
