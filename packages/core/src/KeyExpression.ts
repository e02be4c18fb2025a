import type { Limits } from "./Limits.ts"

/** Where the record key of a bound stream comes from. */
export type KeyExpression =
  | { readonly _tag: "ClientId" }
  | { readonly _tag: "Topic" }
  /** `level` counts from 1. */
  | { readonly _tag: "TopicLevel"; readonly level: number }
  | { readonly _tag: "UserProperty"; readonly name: string }
  | { readonly _tag: "None" }

/** Why a key expression is refused. */
export type KeyExpressionReason = "Unknown" | "LevelOutOfRange" | "InvalidName"

/** A key expression that is none. */
export class InvalidKeyExpression extends Error {
  readonly _tag = "InvalidKeyExpression"
  readonly reason: KeyExpressionReason

  constructor(reason: KeyExpressionReason, message: string) {
    super(message)
    this.name = "InvalidKeyExpression"
    this.reason = reason
  }
}

const topicLevel = /^topic\[([0-9]{1,9})\]$/
const userPropertyPrefix = "user-property:"

export type KeyLimits = Pick<Limits, "topicLevelsMax" | "userPropertiesBytesMax">

/** For expressions that were accepted once, perhaps under other limits. */
export const noKeyLimits: KeyLimits = { topicLevelsMax: Infinity, userPropertiesBytesMax: Infinity }

const parseTopicLevel = (digits: string, { topicLevelsMax }: KeyLimits): KeyExpression => {
  const level = Number(digits)
  if (level < 1 || level > topicLevelsMax) {
    throw new InvalidKeyExpression(
      "LevelOutOfRange",
      `topic levels are counted from 1 to ${topicLevelsMax}, topic[1] is the first`
    )
  }
  return { _tag: "TopicLevel", level }
}

const parseUserProperty = (name: string, { userPropertiesBytesMax }: KeyLimits): KeyExpression => {
  if (name.length === 0 || name.includes("\0") || !name.isWellFormed()) {
    throw new InvalidKeyExpression("InvalidName", "user-property: needs the name of a user property")
  }
  if (Buffer.byteLength(name) > userPropertiesBytesMax) {
    throw new InvalidKeyExpression("InvalidName", "a user property cannot have so long a name")
  }
  return { _tag: "UserProperty", name }
}

/**
 * Parses `clientid`, `topic`, `topic[N]` (level N, the first is 1), `user-property:NAME` or `none`.
 * Throws `InvalidKeyExpression`.
 */
export const parseKeyExpression = (text: string, limits: KeyLimits): KeyExpression => {
  if (text === "clientid") return { _tag: "ClientId" }
  if (text === "topic") return { _tag: "Topic" }
  if (text === "none") return { _tag: "None" }
  const level = topicLevel.exec(text)
  if (level !== null) return parseTopicLevel(level[1]!, limits)
  if (text.startsWith(userPropertyPrefix)) return parseUserProperty(text.slice(userPropertyPrefix.length), limits)
  throw new InvalidKeyExpression("Unknown", "a key is one of: clientid, topic, topic[N], user-property:NAME, none")
}

/** The text that `parseKeyExpression` reads as this expression. */
export const formatKeyExpression = (expression: KeyExpression): string => {
  switch (expression._tag) {
    case "ClientId":
      return "clientid"
    case "Topic":
      return "topic"
    case "TopicLevel":
      return `topic[${expression.level}]`
    case "UserProperty":
      return `${userPropertyPrefix}${expression.name}`
    case "None":
      return "none"
  }
}

/** The parts of a message that a key is taken from. */
export interface KeySource {
  readonly clientId: string
  readonly topic: string
  /** In the packet's order; names may repeat. */
  readonly userProperties: ReadonlyArray<readonly [name: string, value: string]> | undefined
}

const levelOf = (topic: string, level: number): string | null => {
  let start = 0
  for (let passed = 1; passed < level; passed++) {
    const end = topic.indexOf("/", start)
    if (end === -1) return null
    start = end + 1
  }
  const end = topic.indexOf("/", start)
  return end === -1 ? topic.slice(start) : topic.slice(start, end)
}

/** The record's key; null when the topic has fewer levels, or no user property has the name. The first of several counts. */
export const keyOf = (expression: KeyExpression, source: KeySource): string | null => {
  switch (expression._tag) {
    case "ClientId":
      return source.clientId
    case "Topic":
      return source.topic
    case "TopicLevel":
      return levelOf(source.topic, expression.level)
    case "UserProperty":
      return source.userProperties?.find(([name]) => name === expression.name)?.[1] ?? null
    case "None":
      return null
  }
}
