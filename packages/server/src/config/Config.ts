import * as Data from "effect/Data"
import type { Limits } from "@logbrook/core/Limits"
import type { LogLevel } from "../Log.ts"
import type { MqttOptions } from "../mqtt/MqttOptions.ts"
import type { ListenerProtocol } from "../net/Listener.ts"
import type { SettingValue } from "./settings.ts"

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** A listener beside those of the sections `mqtt`, `mqttWs`, `kafka` and `http`. A setting that nobody has made is null. */
export interface ListenerConfig {
  readonly name: string
  readonly protocol: ListenerProtocol
  /** Null: the server's own. */
  readonly host: string | null
  /** Null: it has a path. */
  readonly port: number | null
  /** The path of its Unix socket. */
  readonly path: string | null
  /** The mode of the Unix socket's file, in octal digits. */
  readonly mode: string
  readonly proxyProtocol: boolean
  readonly connectionsMax: number | null
  readonly connectionsPerAddressMax: number | null
  readonly newConnectionsPerSecondMax: number | null
  readonly mountPoint: string | null
  /** See `mqttWs.origins`. */
  readonly origins: string
  /** Null: where clients have connected. */
  readonly advertised: HostPort | null
}

/**
 * A server's whole configuration, decoded once from flags, environment and files. A port of 0 takes any free one; null: nothing
 * listens there.
 */
export interface Config {
  readonly dataDir: string
  readonly host: string
  /** The host may be another than loopback although nobody is authenticated. */
  readonly insecureListen: boolean
  /**
   * `proxyProtocol`, here and below: connections begin with PROXY headers. All but `port` and that hold for MQTT on every listener.
   */
  readonly mqtt: { readonly port: number | null; readonly proxyProtocol: boolean } & MqttOptions
  /** MQTT over WebSocket. `origins`: of web pages that may connect to a server on loopback, with commas between them; or `local`, or `any`. */
  readonly mqttWs: { readonly port: number | null; readonly proxyProtocol: boolean; readonly origins: string }
  /**
   * `advertised`: what Kafka clients are told to connect to; null: where they have connected.
   * `zstdClients`: names of client software that reads zstd, with commas between them.
   * `defaultPartitions`: of a topic that is created without a number.
   */
  readonly kafka: {
    readonly port: number | null
    readonly proxyProtocol: boolean
    readonly advertised: HostPort | null
    readonly zstdClients: string
    readonly autoCreateTopics: boolean
    readonly defaultPartitions: number
  }
  readonly http: { readonly port: number | null; readonly proxyProtocol: boolean }
  readonly listeners: ReadonlyArray<ListenerConfig>
  /** `history`: events that no stream needs any more are kept this long, and no more than this of them. */
  readonly journal: {
    readonly segmentBytes: number
    readonly pacingMs: number
    readonly settle: boolean
    readonly historyMs: number
    readonly historyBytes: number
  }
  /** Whole: `segmentBytesMax` and `commitPacingMs` are settings of the journal. */
  readonly limits: Limits
  readonly log: { readonly level: LogLevel }
}

/** A setting as it came out, and where from: `--mqtt-port`, `LOGBROOK_MQTT_PORT`, `logbrook.yaml:3` or `default`. */
export interface EffectiveSetting {
  readonly path: string
  readonly value: SettingValue
  readonly origin: string
}

/** Something that is wrong with the configuration. */
export interface ConfigProblem {
  /** `mqtt.port`; empty for what concerns a source as a whole. */
  readonly path: string
  /** `--mqtt-port`, `LOGBROOK_MQTT_PORT`, or `logbrook.yaml:3`. */
  readonly origin: string
  readonly message: string
  /** The nearest name that exists, for one that does not. */
  readonly didYouMean: string | undefined
}

/** Nothing was started: all that is wrong, from every source, at once. */
export class ConfigInvalid extends Data.TaggedError("ConfigInvalid")<{
  readonly problems: ReadonlyArray<ConfigProblem>
}> {
  override get message(): string {
    const { length } = this.problems
    return `the configuration has ${length === 1 ? "a problem" : `${length} problems`}`
  }
}

/** A configuration file that somebody has named cannot be read. */
export class ConfigFileUnreadable extends Data.TaggedError("ConfigFileUnreadable")<{
  readonly file: string
  readonly message: string
}> {}
