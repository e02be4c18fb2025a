import * as Data from "effect/Data"
import type { Limits } from "@logbrook/core/Limits"
import type { LogLevel } from "../Log.ts"
import type { MqttOptions } from "../mqtt/MqttOptions.ts"
import type { ListenerProtocol } from "../net/Listener.ts"
import type { ClientCertificates, PrincipalName } from "../net/tls/TlsOptions.ts"
import type { SettingValue } from "./settings.ts"

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** The listener of a protocol's own section. */
export interface Door {
  readonly port: number | null
  /** Connections begin with PROXY headers. */
  readonly proxyProtocol: boolean
  readonly tls: boolean
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
  readonly tls: boolean
  /** Null, here and in the next four: as in the section `tls`. */
  readonly tlsCert: string | null
  readonly tlsKey: string | null
  readonly tlsClientCa: string | null
  readonly tlsClientCertificates: ClientCertificates | null
  readonly tlsPrincipal: PrincipalName | null
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
  /** The TLS of every listener that has it. A file is null where none is given. */
  readonly tls: {
    readonly cert: string | null
    readonly key: string | null
    readonly clientCa: string | null
    readonly clientCertificates: ClientCertificates
    readonly principal: PrincipalName
  }
  /** All but the door's own settings hold for MQTT on every listener. */
  readonly mqtt: Door & MqttOptions
  /** MQTT over WebSocket. `origins`: of web pages that may connect to a server on loopback, with commas between them; or `local`, or `any`. */
  readonly mqttWs: Door & { readonly origins: string }
  /**
   * `advertised`: what Kafka clients are told to connect to; null: where they have connected.
   * `zstdClients`: names of client software that reads zstd, with commas between them.
   * `defaultPartitions`: of a topic that is created without a number.
   */
  readonly kafka: Door & {
    readonly advertised: HostPort | null
    readonly zstdClients: string
    readonly autoCreateTopics: boolean
    readonly defaultPartitions: number
  }
  readonly http: Door
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
