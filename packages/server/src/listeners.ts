/**
 * The sockets of a server, over what `composition.ts` makes.
 *
 *     Broker, Retention ─► HttpListener ─► KafkaListener ─► MqttListener ─► MqttWebSocketListener ─► Serving
 *
 * A stop releases them in reverse order: first nobody is to be sent here, then MQTT clients are told and what their leaving means
 * is durable, then Kafka clients get the answers to what they have asked, and HTTP tells of the stop until its end.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Broker, Mqtt, Retention } from "./composition.ts"
import type { Config } from "./config/Config.ts"
import type { EffectiveSetting } from "./config/loadConfig.ts"
import type { Readiness } from "./http/health.ts"
import { listenHttp } from "./http/HttpServer.ts"
import { listenKafka, type KafkaOptions } from "./kafka/KafkaListener.ts"
import { listenMqtt, type MqttListenerOptions } from "./mqtt/MqttListener.ts"
import { listenMqttWebSocket, type WebSocketOptions } from "./mqtt/MqttWebSocket.ts"
import type { Listening, ListenerName } from "./net/listen.ts"
import * as Services from "./services.ts"

export class HttpListener extends Context.Tag("logbrook/HttpListener")<
  HttpListener,
  Listening & { readonly readiness: Readiness }
>() {}

export class KafkaListener extends Context.Tag("logbrook/KafkaListener")<KafkaListener, Listening>() {}

export class MqttListener extends Context.Tag("logbrook/MqttListener")<MqttListener, Listening>() {}

export class MqttWebSocketListener extends Context.Tag("logbrook/MqttWebSocketListener")<
  MqttWebSocketListener,
  Listening
>() {}

export type Ports = Readonly<Record<ListenerName, number>>

/** All listen; the end of this is the first of a stop. */
export class Serving extends Context.Tag("logbrook/Serving")<Serving, Ports>() {}

export interface Address {
  readonly host: string
  readonly port: number
}

export const layerHttpListener = (address: Address, settings: ReadonlyArray<EffectiveSetting>) =>
  Layer.scoped(
    HttpListener,
    Effect.gen(function* () {
      const broker = yield* Broker
      const mqtt = yield* Mqtt
      const retention = yield* Retention
      const readiness: Readiness = { isDraining: false }
      const { port } = yield* listenHttp(broker, {
        ...address,
        journal: yield* Services.Journal,
        readiness,
        mqtt,
        retentionClock: retention.clock,
        config: { settings, sinceMs: broker.clock.nowMs() }
      })
      return { port, readiness }
    })
  )

export const layerKafkaListener = (options: KafkaOptions) =>
  Layer.scoped(
    KafkaListener,
    Effect.flatMap(Broker, (broker) => listenKafka(broker, options))
  )

export const layerMqttListener = (options: MqttListenerOptions) =>
  Layer.scoped(
    MqttListener,
    Effect.flatMap(Mqtt, (mqtt) => listenMqtt(mqtt, options))
  )

export const layerMqttWebSocketListener = (options: WebSocketOptions) =>
  Layer.scoped(
    MqttWebSocketListener,
    Effect.flatMap(Mqtt, (mqtt) => listenMqttWebSocket(mqtt, options))
  )

const layerServing = Layer.scoped(
  Serving,
  Effect.gen(function* () {
    const { port: http, readiness } = yield* HttpListener
    const { port: kafka } = yield* KafkaListener
    const { port: mqtt } = yield* MqttListener
    const { port: mqttWs } = yield* MqttWebSocketListener
    yield* Effect.addFinalizer(() => Effect.sync(() => void (readiness.isDraining = true)))
    return { http, kafka, mqtt, mqttWs }
  })
)

/** Every listener that a configuration names. */
export const layerListeners = (config: Config, settings: ReadonlyArray<EffectiveSetting>) => {
  const { host, http, kafka, mqtt, mqttWs } = config
  const advertised = kafka.advertised ?? { host, port: 0 }
  const { autoCreateTopics, defaultPartitions } = kafka
  const ofClients = { zstdClients: new Set(kafka.zstdClients.split(",")), autoCreateTopics, defaultPartitions }
  return layerServing.pipe(
    Layer.provideMerge(
      layerMqttWebSocketListener({ host, port: mqttWs.port, origins: new Set(mqttWs.origins.split(",")) })
    ),
    Layer.provideMerge(layerMqttListener({ host, port: mqtt.port, isProxied: mqtt.proxyProtocol })),
    Layer.provideMerge(
      layerKafkaListener({ host, port: kafka.port, advertised, isProxied: kafka.proxyProtocol, ...ofClients })
    ),
    Layer.provideMerge(layerHttpListener({ host, port: http.port }, settings))
  )
}
