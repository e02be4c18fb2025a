import { isReservedTopic } from "./access/reservedTopics.ts"
import { defaultLimits, type Limits } from "./Limits.ts"

/** Why a topic filter is refused. */
export type TopicFilterReason =
  | "Empty"
  | "TooLong"
  | "TooDeep"
  | "InvalidCharacter"
  | "MisplacedMultiLevelWildcard"
  | "MisplacedSingleLevelWildcard"
  | "Reserved"

/** A topic filter that MQTT does not allow, or that a stream may not be bound to. */
export class InvalidTopicFilter extends Error {
  readonly _tag = "InvalidTopicFilter"
  readonly reason: TopicFilterReason

  constructor(reason: TopicFilterReason, message: string) {
    super(message)
    this.name = "InvalidTopicFilter"
    this.reason = reason
  }
}

type TopicLimits = Pick<Limits, "topicBytesMax" | "topicLevelsMax">

const slash = 0x2f
const plus = 0x2b
const hash = 0x23
const dollar = 0x24

/** A topic's or filter's levels; empty levels count (`/a` has two). */
export const levelsOf = (topic: string): Array<string> => topic.split("/")

/** A UTF-16 unit is one to three bytes, so the bytes of most names need not be counted. */
const isLonger = (name: string, bytesMax: number): boolean =>
  name.length > bytesMax || (3 * name.length > bytesMax && Buffer.byteLength(name) > bytesMax)

const checkLevel = (level: string, isLast: boolean): void => {
  if (level.includes("#") && (level !== "#" || !isLast)) {
    throw new InvalidTopicFilter("MisplacedMultiLevelWildcard", "# must be the whole last level [MQTT-4.7.1-1]")
  }
  if (level.includes("+") && level !== "+") {
    throw new InvalidTopicFilter("MisplacedSingleLevelWildcard", "+ must be a whole level [MQTT-4.7.1-2]")
  }
}

/**
 * Checks a topic filter against MQTT 4.7 and the limits, and returns its levels. Throws `InvalidTopicFilter`.
 * A shared subscription's prefix (`$share/group/`) is no part of the filter and is to be taken off before.
 */
export const parseTopicFilter = (filter: string, limits: TopicLimits = defaultLimits): ReadonlyArray<string> => {
  if (filter.length === 0) throw new InvalidTopicFilter("Empty", "a topic filter is empty [MQTT-4.7.3-1]")
  if (isLonger(filter, limits.topicBytesMax)) {
    throw new InvalidTopicFilter("TooLong", `a topic filter has more than ${limits.topicBytesMax} bytes`)
  }
  if (filter.includes("\0") || !filter.isWellFormed()) {
    throw new InvalidTopicFilter("InvalidCharacter", "a topic filter has NUL or a lone surrogate [MQTT-4.7.3-2]")
  }
  const levels = levelsOf(filter)
  if (levels.length > limits.topicLevelsMax) {
    throw new InvalidTopicFilter("TooDeep", `a topic filter has more than ${limits.topicLevelsMax} levels`)
  }
  for (let at = 0; at < levels.length; at++) checkLevel(levels[at]!, at === levels.length - 1)
  return levels
}

/**
 * Checks a filter that a stream is to be bound to: a topic filter whose first level is none of `$stream`, `$share`,
 * `$queue`. `$SYS/#` may be bound, since it says so explicitly. Throws `InvalidTopicFilter`.
 */
export const validateBoundFilter = (filter: string, limits: TopicLimits = defaultLimits): void => {
  const first = parseTopicFilter(filter, limits)[0]!
  if (isReservedTopic(first)) {
    throw new InvalidTopicFilter("Reserved", `no stream can be bound to topics under ${first}`)
  }
}

const levelEnd = (name: string, start: number): number => {
  const end = name.indexOf("/", start)
  return end === -1 ? name.length : end
}

/**
 * Whether a valid filter matches a topic (MQTT 4.7): `#` also matches its parent, `+` also an empty level, and neither
 * matches on the first level a topic that begins with `$` [MQTT-4.7.2-1].
 */
export const matches = (filter: string, topic: string): boolean => {
  const first = filter.charCodeAt(0)
  if (topic.charCodeAt(0) === dollar && (first === plus || first === hash)) return false
  let filterAt = 0
  let topicAt = 0
  while (true) {
    const unit = filter.charCodeAt(filterAt)
    if (unit === hash) return true
    const topicEnd = levelEnd(topic, topicAt)
    const filterEnd = levelEnd(filter, filterAt)
    if (unit !== plus) {
      if (filterEnd - filterAt !== topicEnd - topicAt) return false
      if (!topic.startsWith(filter.slice(filterAt, filterEnd), topicAt)) return false
    }
    const filterEnds = filterEnd === filter.length
    const topicEnds = topicEnd === topic.length
    if (topicEnds) {
      return filterEnds || (filter.charCodeAt(filterEnd) === slash && filter.slice(filterEnd + 1) === "#")
    }
    if (filterEnds) return false
    filterAt = filterEnd + 1
    topicAt = topicEnd + 1
  }
}
