import * as Data from "effect/Data"
import type { Limits } from "@logbrook/core/Limits"
import type { LogLevel } from "../Log.ts"
import type { MqttOptions } from "../mqtt/MqttOptions.ts"

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** A server's whole configuration, decoded once from flags, environment and files. A port of 0 takes any free one. */
export interface Config {
  readonly dataDir: string
  readonly host: string
  /** The host may be another than loopback although nobody is authenticated. */
  readonly insecureListen: boolean
  /**
   * `proxyProtocol`, here and of `kafka`: connections begin with PROXY headers. All but `port` and that hold for MQTT over
   * WebSocket, too.
   */
  readonly mqtt: { readonly port: number; readonly proxyProtocol: boolean } & MqttOptions
  /** MQTT over WebSocket. `origins`: of web pages that may connect to a server on loopback, with commas between them; or `local`, or `any`. */
  readonly mqttWs: { readonly port: number; readonly origins: string }
  /**
   * `advertised`: what Kafka clients are told to connect to; null: where they have connected.
   * `zstdClients`: names of client software that reads zstd, with commas between them.
   * `defaultPartitions`: of a topic that is created without a number.
   */
  readonly kafka: {
    readonly port: number
    readonly proxyProtocol: boolean
    readonly advertised: HostPort | null
    readonly zstdClients: string
    readonly autoCreateTopics: boolean
    readonly defaultPartitions: number
  }
  readonly http: { readonly port: number }
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
