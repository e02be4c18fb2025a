import * as Data from "effect/Data"
import type { Limits } from "@logbrook/core/Limits"

/** A stream's settings under Kafka's topic configuration names, and `mqtt.headers`, which is ours. */
export interface StreamConfig {
  /** -1: for ever. */
  readonly retentionMs: number
  /** Per partition; -1: no limit. */
  readonly retentionBytes: number
  /** Infinity: whatever the server takes. */
  readonly maxMessageBytes: number
  /** Whether records of MQTT messages carry the headers `mqtt.*`. User properties are kept in any case. */
  readonly mqttHeaders: boolean
}

export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{
  readonly name: string
  readonly message: string
}> {}

interface Setting {
  readonly name: string
  readonly byDefault: string
  readonly documentation: string
  /** Undefined: the text is no value of this setting. */
  readonly parse: (text: string) => number | boolean | string | undefined
}

const wholeNumber = (min: number, max: number) => (text: string) => {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : NaN
  return value >= min && value <= max ? value : undefined
}

const oneOf =
  (...values: ReadonlyArray<string>) =>
  (text: string) =>
    values.includes(text) ? text : undefined

const dayMs = 24 * 60 * 60 * 1000

/** What bounds the settings of every stream. */
export type ConfigLimits = Pick<Limits, "recordBatchBytesMax">

const settings: ReadonlyArray<Setting> = [
  {
    name: "retention.ms",
    byDefault: String(7 * dayMs),
    documentation: "Records older than this are expired; -1 keeps them for ever.",
    parse: wholeNumber(-1, Number.MAX_SAFE_INTEGER)
  },
  {
    name: "retention.bytes",
    byDefault: "-1",
    documentation: "The oldest records of a partition above this are expired; -1 is no limit.",
    parse: wholeNumber(-1, Number.MAX_SAFE_INTEGER)
  },
  {
    name: "cleanup.policy",
    byDefault: "delete",
    documentation: "What becomes of old records.",
    parse: oneOf("delete")
  },
  {
    name: "message.timestamp.type",
    byDefault: "CreateTime",
    documentation: "Whose time a record has: its producer's, or for MQTT messages the server's at arrival.",
    parse: oneOf("CreateTime")
  },
  {
    name: "mqtt.headers",
    byDefault: "true",
    documentation: "Whether records of MQTT messages carry mqtt.topic, mqtt.clientid and the other mqtt.* headers.",
    parse: oneOf("true", "false")
  }
]

/** What may be set on a stream. A name that Kafka has and we do not is refused rather than ignored. */
export const streamSettings = ({ recordBatchBytesMax }: ConfigLimits): ReadonlyArray<Setting> => [
  ...settings,
  {
    name: "max.message.bytes",
    byDefault: String(recordBatchBytesMax),
    documentation: "The largest record batch that a producer may send.",
    parse: wholeNumber(1, recordBatchBytesMax)
  }
]

/** Throws `InvalidConfig` for the first name or value that is none. */
export const validateConfig = (config: ReadonlyMap<string, string>, limits: ConfigLimits): void => {
  const known = streamSettings(limits)
  for (const [name, value] of config) {
    const setting = known.find((s) => s.name === name)
    if (setting === undefined) throw new InvalidConfig({ name, message: `Unknown topic config name: ${name}` })
    if (setting.parse(value) === undefined) {
      throw new InvalidConfig({ name, message: `Invalid value ${value} for configuration ${name}` })
    }
  }
}

/** What holds for a stream whose own settings are `config`, which were validated, perhaps under other limits. */
export const effectiveConfig = (config: ReadonlyMap<string, string>): StreamConfig => {
  const text = (name: string): string => config.get(name) ?? settings.find((s) => s.name === name)!.byDefault
  return {
    retentionMs: Number(text("retention.ms")),
    retentionBytes: Number(text("retention.bytes")),
    maxMessageBytes: Number(config.get("max.message.bytes") ?? Infinity),
    mqttHeaders: text("mqtt.headers") === "true"
  }
}
