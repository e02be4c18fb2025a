import * as Data from "effect/Data"
import type { Codec } from "@logbrook/core/Compression"
import type { Limits } from "@logbrook/core/Limits"

/** A stream's settings under Kafka's topic configuration names, and `mqtt.headers`, which is ours. */
export interface StreamConfig {
  /** Whether the newest record of a key drives out the older ones. */
  readonly isCompacted: boolean
  /** Whether records expire by age and size; not those of a stream that is only compacted. */
  readonly isExpiring: boolean
  readonly minCleanableDirtyRatio: number
  readonly minCompactionLagMs: number
  readonly maxCompactionLagMs: number
  /** How long a tombstone stays once the records that it hides are gone. */
  readonly deleteRetentionMs: number
  /** -1: for ever. */
  readonly retentionMs: number
  /** Per partition; -1: no limit. */
  readonly retentionBytes: number
  /** The time that the records of producers have. */
  readonly timestampType: TimestampType
  /** How far behind the server's clock the time of a producer's record may be; LogAppendTime asks for neither bound. */
  readonly timestampBeforeMaxMs: number
  /** How far ahead of it. */
  readonly timestampAfterMaxMs: number
  /** The codec that producers' batches are stored with; undefined: the one that they come with. */
  readonly codec: Codec | "none" | undefined
  /** Infinity: whatever the server takes. */
  readonly maxMessageBytes: number
  /** Whether records of MQTT messages carry the headers `mqtt.*`. User properties are kept in any case. */
  readonly mqttHeaders: boolean
}

/** The time of a producer's record: the producer's, or the server's when it is appended (KIP-32). */
export type TimestampType = "CreateTime" | "LogAppendTime"

export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{
  readonly name: string
  readonly message: string
}> {}

/** The values of a setting. */
interface Values {
  /** For people, behind "takes". */
  readonly takes: string
  /** Undefined: the text is no value of this setting. */
  readonly parse: (text: string) => number | boolean | string | undefined
}

/** Kafka's types of settings. */
export type SettingType = "Boolean" | "String" | "Int" | "Long" | "Double" | "List"

export interface Setting extends Values {
  readonly name: string
  readonly type: SettingType
  readonly byDefault: string
  /** Kafka's name for the default that holds for all topics of a node; undefined: there is none. */
  readonly nodeName?: string
  readonly documentation: string
  /** Taken and kept, and changes nothing. */
  readonly isInert?: boolean
}

const wholeNumber = (min: number, max: number): Values => ({
  takes: `a whole number from ${min} to ${max}`,
  parse: (text) => {
    const value = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN
    return value >= min && value <= max ? value : undefined
  }
})

const longMax = 2n ** 63n - 1n

/** Kafka's longs; what a number cannot hold exactly means for ever. */
const long = (min: number): Values => ({
  takes: `a whole number from ${min} to ${longMax}`,
  parse: (text) =>
    /^-?\d{1,19}$/.test(text) && BigInt(text) <= longMax && Number(text) >= min ? Number(text) : undefined
})

const ratio: Values = {
  takes: "a number from 0 to 1",
  parse: (text) => {
    const value = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN
    return value >= 0 && value <= 1 ? value : undefined
  }
}

const policyNames: ReadonlyArray<string> = ["compact", "delete"]

/** None: nothing becomes of old records (Kafka from 4.2 on). */
const policiesOf = (text: string): ReadonlyArray<string> =>
  text.trim() === "" ? [] : text.split(",").map((name) => name.trim())

const cleanupPolicy: Values = {
  takes: "delete, compact, both with a comma, or nothing",
  parse: (text) => (policiesOf(text).every((name) => policyNames.includes(name)) ? text : undefined)
}

const oneOf = (...values: ReadonlyArray<string>): Values => ({
  takes: values.join(" or "),
  parse: (text) => (values.includes(text) ? text : undefined)
})

/** In letters of either case. */
const yesOrNo: Values = {
  takes: "true or false",
  parse: (text) => (/^(true|false)$/i.test(text) ? isYes(text) : undefined)
}

const isYes = (text: string): boolean => text.toLowerCase() === "true"

/** A setting whose default alone is taken: clients would notice that another value has no effect. */
const only = (value: string, reason: string): Values => ({
  ...oneOf(value),
  takes: `${value} only: ${reason}`
})

const hourMs = 60 * 60 * 1000
const dayMs = 24 * hourMs

const compressionType = "compression.type"
const codecNames: ReadonlyMap<string, Codec | "none" | undefined> = new Map([
  ["uncompressed", "none"],
  ["zstd", "zstd"],
  ["lz4", "lz4"],
  ["snappy", "snappy"],
  ["gzip", "gzip"],
  ["producer", undefined]
])

const timestampTypeName = "message.timestamp.type"
export const timestampBefore = "message.timestamp.before.max.ms"
export const timestampAfter = "message.timestamp.after.max.ms"

/** The limits that bound the settings of every stream. */
export type ConfigLimits = Pick<Limits, "recordBatchBytesMax">

const settings: ReadonlyArray<Setting> = [
  {
    name: "retention.ms",
    type: "Long",
    byDefault: String(7 * dayMs),
    documentation: "Records older than this are expired; -1 keeps them for ever.",
    ...long(-1)
  },
  {
    name: "retention.bytes",
    type: "Long",
    nodeName: "log.retention.bytes",
    byDefault: "-1",
    documentation: "The oldest records of a partition above this are expired; -1 is no limit.",
    ...long(-1)
  },
  {
    name: "cleanup.policy",
    type: "List",
    nodeName: "log.cleanup.policy",
    byDefault: "delete",
    documentation:
      "What becomes of old records: delete lets them expire, compact keeps the newest of each key; compact,delete does both, and an empty list neither.",
    ...cleanupPolicy
  },
  {
    name: "min.cleanable.dirty.ratio",
    type: "Double",
    nodeName: "log.cleaner.min.cleanable.ratio",
    byDefault: "0.5",
    documentation: "A partition is compacted when more than this share of its settled bytes was not compacted yet.",
    ...ratio
  },
  {
    name: "min.compaction.lag.ms",
    type: "Long",
    nodeName: "log.cleaner.min.compaction.lag.ms",
    byDefault: "0",
    documentation: "A record is not compacted before it is as old.",
    ...long(0)
  },
  {
    name: "max.compaction.lag.ms",
    type: "Long",
    nodeName: "log.cleaner.max.compaction.lag.ms",
    byDefault: String(longMax),
    documentation: "A settled record is compacted once it is as old, whatever the dirty ratio.",
    ...long(1)
  },
  {
    name: "delete.retention.ms",
    type: "Long",
    nodeName: "log.cleaner.delete.retention.ms",
    byDefault: String(dayMs),
    documentation: "How long a tombstone stays once the older records of its key are gone.",
    ...long(0)
  },
  {
    name: timestampTypeName,
    type: "String",
    nodeName: "log.message.timestamp.type",
    byDefault: "CreateTime",
    documentation:
      "Whose time a producer's record has: CreateTime is the producer's, LogAppendTime the server's when the record is appended. Those of MQTT messages have the server's at arrival in any case.",
    ...oneOf("CreateTime", "LogAppendTime")
  },
  {
    name: timestampBefore,
    type: "Long",
    nodeName: "log.message.timestamp.before.max.ms",
    byDefault: String(longMax),
    documentation:
      "A producer's record whose time is further behind the server's clock is refused, unless it gets the time of its append.",
    ...long(0)
  },
  {
    name: timestampAfter,
    type: "Long",
    nodeName: "log.message.timestamp.after.max.ms",
    byDefault: String(hourMs),
    documentation:
      "A producer's record whose time is further ahead of the server's clock is refused, unless it gets the time of its append.",
    ...long(0)
  },
  {
    name: compressionType,
    type: "String",
    nodeName: compressionType,
    byDefault: "producer",
    documentation:
      "What producers' record batches are compressed with, whatever they come with; producer: as they come. Those of MQTT messages are compressed by the server alone.",
    ...oneOf(...codecNames.keys())
  },
  {
    name: "mqtt.headers",
    type: "Boolean",
    byDefault: "true",
    documentation: "Whether records of MQTT messages carry mqtt.topic, mqtt.clientid and the other mqtt.* headers.",
    ...yesOrNo
  }
]

const inert = (name: string, type: SettingType, byDefault: string, values: Values, nodeName?: string): Setting => ({
  name,
  type,
  byDefault,
  ...(nodeName === undefined ? {} : { nodeName }),
  documentation: "How Kafka's own brokers store and replicate; without effect here.",
  isInert: true,
  ...values
})

const replicaList: Values = {
  takes: "*, or partition:node with commas between them",
  parse: (text) => (/^(\*|(\d{1,9}:\d{1,9}(,\d{1,9}:\d{1,9})*,?)?)$/.test(text) ? text : undefined)
}

const longNumber = long(0)
const segmentMs = String(7 * dayMs)

/** Kafka Streams and many scripts give these with every topic. */
const storageSettings: ReadonlyArray<Setting> = [
  inert("segment.bytes", "Int", "1073741824", wholeNumber(1, 0x7fff_ffff), "log.segment.bytes"),
  inert("segment.ms", "Long", segmentMs, long(1)),
  inert("segment.jitter.ms", "Long", "0", longNumber),
  inert("segment.index.bytes", "Int", "10485760", wholeNumber(4, 0x7fff_ffff), "log.index.size.max.bytes"),
  inert("index.interval.bytes", "Int", "4096", wholeNumber(0, 0x7fff_ffff), "log.index.interval.bytes"),
  inert("file.delete.delay.ms", "Long", "60000", longNumber, "log.segment.delete.delay.ms"),
  inert("flush.messages", "Long", String(longMax), long(1), "log.flush.interval.messages"),
  inert("flush.ms", "Long", String(longMax), longNumber),
  inert("preallocate", "Boolean", "false", yesOrNo, "log.preallocate"),
  inert("unclean.leader.election.enable", "Boolean", "false", yesOrNo, "unclean.leader.election.enable"),
  // Kafka asks for no more replicas than a partition has, which is one here: its 4.3.1 takes acks=all so.
  inert("min.insync.replicas", "Int", "1", wholeNumber(1, 0x7fff_ffff), "min.insync.replicas"),
  inert("leader.replication.throttled.replicas", "List", "", replicaList),
  inert("follower.replication.throttled.replicas", "List", "", replicaList)
]

const fixed = (name: string, type: SettingType, value: string, reason: string, nodeName?: string): Setting =>
  inert(name, type, value, only(value, reason), nodeName)

const ownLevel = "what the server compresses has the usual level of its codec"
const noTiers = "records are stored on this node alone"

const fixedSettings: ReadonlyArray<Setting> = [
  fixed("compression.gzip.level", "Int", "-1", ownLevel, "compression.gzip.level"),
  fixed("compression.lz4.level", "Int", "9", ownLevel, "compression.lz4.level"),
  fixed("compression.zstd.level", "Int", "3", ownLevel, "compression.zstd.level"),
  fixed("local.retention.bytes", "Long", "-2", noTiers, "log.local.retention.bytes"),
  fixed("local.retention.ms", "Long", "-2", noTiers, "log.local.retention.ms"),
  fixed("remote.storage.enable", "Boolean", "false", noTiers),
  fixed("remote.log.copy.disable", "Boolean", "false", noTiers),
  fixed("remote.log.delete.on.disable", "Boolean", "false", noTiers)
]

/**
 * The settings that a stream may have. A name or value of Kafka's that readers or writers would notice, and that we do
 * not have, is refused.
 */
export const streamSettings = ({ recordBatchBytesMax }: ConfigLimits): ReadonlyArray<Setting> => [
  ...settings,
  ...storageSettings,
  ...fixedSettings,
  {
    name: "max.message.bytes",
    type: "Int",
    nodeName: "message.max.bytes",
    byDefault: String(recordBatchBytesMax),
    documentation: "The largest record batch that a producer may send.",
    ...wholeNumber(1, recordBatchBytesMax)
  }
]

/** An answer has less room than a request. */
const shown = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)}…` : text)

/** A change to entries of a setting that is a list. */
export interface ListChange {
  readonly name: string
  readonly change: "append" | "subtract"
  /** With commas between them. */
  readonly entries: string
}

const entriesOf = (text: string): ReadonlyArray<string> =>
  text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "")

/** Throws `InvalidConfig` if no setting has the name. */
export const settingOf = (name: string, settings: ReturnType<typeof streamSettings>) => {
  const setting = settings.find((each) => each.name === name)
  if (setting === undefined) throw new InvalidConfig({ name, message: `Unknown topic config name: ${shown(name)}` })
  return setting
}

/** The list's value after the change. Throws `InvalidConfig` for a name that is none, or no list's. */
export const changedList = (
  config: ReadonlyMap<string, string>,
  { name, change, entries }: ListChange,
  limits: ConfigLimits
): string => {
  const setting = settingOf(name, streamSettings(limits))
  if (setting.type !== "List") {
    const message = `Can't ${change.toUpperCase()} to key ${name} because its type is not LIST.`
    throw new InvalidConfig({ name, message })
  }
  const before = entriesOf(config.get(name) ?? setting.byDefault)
  const changed = entriesOf(entries)
  const after =
    change === "append"
      ? [...before, ...changed.filter((entry) => !before.includes(entry))]
      : before.filter((entry) => !changed.includes(entry))
  return after.join(",")
}

/** Throws `InvalidConfig` for the first name or value that is none, or for two that contradict each other. */
export const validateConfig = (config: ReadonlyMap<string, string>, limits: ConfigLimits): void => {
  const known = streamSettings(limits)
  for (const [name, value] of config) {
    const setting = settingOf(name, known)
    if (setting.parse(value) === undefined) {
      const message = `Invalid value ${shown(value)} for configuration ${name}, which takes ${setting.takes}`
      throw new InvalidConfig({ name, message })
    }
  }
  const { minCompactionLagMs, maxCompactionLagMs } = effectiveConfig(config)
  if (minCompactionLagMs > maxCompactionLagMs) {
    const message = "min.compaction.lag.ms must not be greater than max.compaction.lag.ms"
    throw new InvalidConfig({ name: "max.compaction.lag.ms", message })
  }
}

/** A bound of what is kept; -1 for one that a number cannot hold. */
const bounded = (text: string): number => (Number(text) > Number.MAX_SAFE_INTEGER ? -1 : Number(text))

/** The settings that hold for a stream whose own settings are `config`, which were validated, perhaps under other limits. */
export const effectiveConfig = (config: ReadonlyMap<string, string>): StreamConfig => {
  const text = (name: string): string => config.get(name) ?? settings.find((s) => s.name === name)!.byDefault
  const policies = policiesOf(text("cleanup.policy"))
  return {
    isCompacted: policies.includes("compact"),
    isExpiring: policies.includes("delete"),
    minCleanableDirtyRatio: Number(text("min.cleanable.dirty.ratio")),
    minCompactionLagMs: Number(text("min.compaction.lag.ms")),
    maxCompactionLagMs: Number(text("max.compaction.lag.ms")),
    deleteRetentionMs: Number(text("delete.retention.ms")),
    retentionMs: bounded(text("retention.ms")),
    retentionBytes: bounded(text("retention.bytes")),
    timestampType: text(timestampTypeName) as TimestampType,
    timestampBeforeMaxMs: Number(text(timestampBefore)),
    timestampAfterMaxMs: Number(text(timestampAfter)),
    codec: codecNames.get(text(compressionType)),
    maxMessageBytes: Number(config.get("max.message.bytes") ?? Infinity),
    mqttHeaders: isYes(text("mqtt.headers"))
  }
}
