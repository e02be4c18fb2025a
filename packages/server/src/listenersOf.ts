import type { KafkaListenerOptions } from "./kafka/KafkaListener.ts"
import type { MqttListenerOptions } from "./mqtt/MqttListener.ts"
import type { WebSocketOptions } from "./mqtt/MqttWebSocket.ts"
import type { Credentials } from "./net/tls/Credentials.ts"
import type { TlsOptions } from "./net/tls/TlsOptions.ts"
import { tlsOptionsOf, tlsSettingsOf } from "./config/tlsSettings.ts"
import { type ListenAddress, type ListenerOptions, type ListenerProtocol, noListenerLimits } from "./net/Listener.ts"
import type { Config, HostPort, ListenerConfig } from "./config/Config.ts"

/** Those of one protocol each: the one that nobody needs to name comes first. */
export interface Listeners {
  readonly mqtt: ReadonlyArray<MqttListenerOptions>
  readonly mqttWs: ReadonlyArray<WebSocketOptions>
  readonly kafka: ReadonlyArray<KafkaListenerOptions>
  readonly http: ReadonlyArray<ListenerOptions>
}

/** The certificates and keys of a listener's TLS, which are loaded already. */
type CredentialsOf = (options: TlsOptions) => Credentials | undefined

const addressOf = ({ host, port, path, mode }: ListenerConfig, config: Config): ListenAddress =>
  path === null ? { host: host ?? config.host, port: port ?? 0 } : { path, mode: Number.parseInt(mode, 8) }

const optionsOf = (listener: ListenerConfig, config: Config, credentialsOf: CredentialsOf): ListenerOptions => ({
  name: listener.name,
  at: addressOf(listener, config),
  isProxied: listener.proxyProtocol,
  tls: listener.tls ? credentialsOf(tlsOptionsOf(tlsSettingsOf(config.tls, listener))) : undefined,
  limits: {
    connectionsMax: listener.connectionsMax ?? Infinity,
    connectionsPerAddressMax: listener.connectionsPerAddressMax ?? Infinity,
    newConnectionsPerSecondMax: listener.newConnectionsPerSecondMax ?? Infinity
  }
})

const originsOf = (origins: string): ReadonlySet<string> => new Set(origins.split(","))

/** Port 0: the port that clients have connected to. */
const advertisedOf = (at: ListenAddress, advertised: HostPort | null): HostPort =>
  advertised ?? { host: "host" in at ? at.host : "", port: 0 }

/** The listener of a protocol's own section, if there is to be one. */
const ownOf = (
  config: Config,
  name: ListenerProtocol,
  credentialsOf: CredentialsOf
): ReadonlyArray<ListenerOptions> => {
  const { port, proxyProtocol: isProxied, tls: isTls } = config[name]
  if (port === null) return []
  const tls = isTls ? credentialsOf(tlsOptionsOf(config.tls)) : undefined
  return [{ name, at: { host: config.host, port }, isProxied, tls, limits: noListenerLimits }]
}

/** The TLS of all listeners of a configuration. */
export const tlsOf = (config: Config): ReadonlyArray<TlsOptions> => {
  const found: Array<TlsOptions> = []
  listenersOf(config, (options) => {
    found.push(options)
    return undefined
  })
  return found
}

/** All listeners of a configuration. */
export const listenersOf = (config: Config, credentialsOf: CredentialsOf): Listeners => {
  const named = (protocol: ListenerProtocol) =>
    config.listeners
      .filter((listener) => listener.protocol === protocol)
      .map((listener) => ({ listener, options: optionsOf(listener, config, credentialsOf) }))
  return {
    mqtt: [
      ...ownOf(config, "mqtt", credentialsOf).map((own) => ({ ...own, mountPoint: "" })),
      ...named("mqtt").map(({ listener, options }) => ({ ...options, mountPoint: listener.mountPoint ?? "" }))
    ],
    mqttWs: [
      ...ownOf(config, "mqttWs", credentialsOf).map((own) => ({
        ...own,
        mountPoint: "",
        origins: originsOf(config.mqttWs.origins)
      })),
      ...named("mqttWs").map(({ listener, options }) => ({
        ...options,
        mountPoint: listener.mountPoint ?? "",
        origins: originsOf(listener.origins)
      }))
    ],
    kafka: [
      ...ownOf(config, "kafka", credentialsOf).map((own) => ({
        ...own,
        advertised: advertisedOf(own.at, config.kafka.advertised)
      })),
      ...named("kafka").map(({ listener, options }) => ({
        ...options,
        advertised: advertisedOf(options.at, listener.advertised)
      }))
    ],
    http: [...ownOf(config, "http", credentialsOf), ...named("http").map(({ options }) => options)]
  }
}
