import type { KafkaListenerOptions } from "./kafka/KafkaListener.ts"
import type { MqttListenerOptions } from "./mqtt/MqttListener.ts"
import type { WebSocketOptions } from "./mqtt/MqttWebSocket.ts"
import { type ListenAddress, type ListenerOptions, type ListenerProtocol, noListenerLimits } from "./net/Listener.ts"
import type { Config, HostPort, ListenerConfig } from "./config/Config.ts"

/** Those of one protocol each: the one that nobody needs to name comes first. */
export interface Listeners {
  readonly mqtt: ReadonlyArray<MqttListenerOptions>
  readonly mqttWs: ReadonlyArray<WebSocketOptions>
  readonly kafka: ReadonlyArray<KafkaListenerOptions>
  readonly http: ReadonlyArray<ListenerOptions>
}

const addressOf = ({ host, port, path, mode }: ListenerConfig, config: Config): ListenAddress =>
  path === null ? { host: host ?? config.host, port: port ?? 0 } : { path, mode: Number.parseInt(mode, 8) }

const optionsOf = (listener: ListenerConfig, config: Config): ListenerOptions => ({
  name: listener.name,
  at: addressOf(listener, config),
  isProxied: listener.proxyProtocol,
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
const ownOf = (config: Config, name: ListenerProtocol): ReadonlyArray<ListenerOptions> => {
  const { port, proxyProtocol } = config[name]
  if (port === null) return []
  return [{ name, at: { host: config.host, port }, isProxied: proxyProtocol, limits: noListenerLimits }]
}

/** All listeners of a configuration. */
export const listenersOf = (config: Config): Listeners => {
  const named = (protocol: ListenerProtocol) =>
    config.listeners
      .filter((listener) => listener.protocol === protocol)
      .map((listener) => ({ listener, options: optionsOf(listener, config) }))
  return {
    mqtt: [
      ...ownOf(config, "mqtt").map((own) => ({ ...own, mountPoint: "" })),
      ...named("mqtt").map(({ listener, options }) => ({ ...options, mountPoint: listener.mountPoint ?? "" }))
    ],
    mqttWs: [
      ...ownOf(config, "mqttWs").map((own) => ({ ...own, mountPoint: "", origins: originsOf(config.mqttWs.origins) })),
      ...named("mqttWs").map(({ listener, options }) => ({
        ...options,
        mountPoint: listener.mountPoint ?? "",
        origins: originsOf(listener.origins)
      }))
    ],
    kafka: [
      ...ownOf(config, "kafka").map((own) => ({ ...own, advertised: advertisedOf(own.at, config.kafka.advertised) })),
      ...named("kafka").map(({ listener, options }) => ({
        ...options,
        advertised: advertisedOf(options.at, listener.advertised)
      }))
    ],
    http: [...ownOf(config, "http"), ...named("http").map(({ options }) => options)]
  }
}
