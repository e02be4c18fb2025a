/**
 * The sockets of a server, over what `composition.ts` makes: any number of listeners for each protocol.
 *
 *     Broker, Retention ─► Certificates ─► HttpListeners ─► KafkaListeners ─► MqttListeners ─► MqttWebSocketListeners ─► Serving
 *
 * A stop releases them in reverse order: first nobody is to be sent here, then MQTT clients are told and what their leaving means
 * is durable, then Kafka clients get the answers to what they have asked, and HTTP tells of the stop until its end. The listeners
 * of a protocol end together.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Broker, Mqtt, Retention } from "./composition.ts"
import type { Config } from "./config/Config.ts"
import type { EffectiveSetting } from "./config/Config.ts"
import type { Readiness } from "./http/health.ts"
import { listenHttp } from "./http/HttpServer.ts"
import { listenKafka, type KafkaListenerOptions } from "./kafka/KafkaListener.ts"
import type { ClientSettings } from "./kafka/KafkaNode.ts"
import { listenMqtt, type MqttListenerOptions } from "./mqtt/MqttListener.ts"
import { listenMqttWebSocket, type WebSocketOptions } from "./mqtt/MqttWebSocket.ts"
import type { ListenerOptions, ListenerProtocol, Listening } from "./net/Listener.ts"
import { openCertificates } from "./net/tls/Certificates.ts"
import { listenersOf, tlsOf } from "./listenersOf.ts"
import * as Services from "./services.ts"

type All = ReadonlyArray<Listening>

export class HttpListeners extends Context.Tag("logbrook/HttpListeners")<
  HttpListeners,
  { readonly all: All; readonly readiness: Readiness }
>() {}

export class KafkaListeners extends Context.Tag("logbrook/KafkaListeners")<KafkaListeners, All>() {}

export class MqttListeners extends Context.Tag("logbrook/MqttListeners")<MqttListeners, All>() {}

export class MqttWebSocketListeners extends Context.Tag("logbrook/MqttWebSocketListeners")<
  MqttWebSocketListeners,
  All
>() {}

/** The certificates of all listeners; they outlive these. */
export class Certificates extends Context.Tag("logbrook/Certificates")<
  Certificates,
  Effect.Effect.Success<ReturnType<typeof openCertificates>>
>() {}

/** The ports of the listeners that nobody needs to name; 0 where there is none, or a Unix socket. */
export type Ports = Readonly<Record<ListenerProtocol, number>>

/** All listen; the end of this is the first of a stop. */
export class Serving extends Context.Tag("logbrook/Serving")<
  Serving,
  { readonly ports: Ports; readonly listeners: All }
>() {}

export const layerHttpListeners = (
  listeners: ReadonlyArray<ListenerOptions>,
  settings: ReadonlyArray<EffectiveSetting>
) =>
  Layer.scoped(
    HttpListeners,
    Effect.gen(function* () {
      const broker = yield* Broker
      const mqtt = yield* Mqtt
      const retention = yield* Retention
      const readiness: Readiness = { isDraining: false }
      const parts = {
        journal: yield* Services.Journal,
        readiness,
        mqtt,
        retentionClock: retention.clock,
        config: { settings, sinceMs: broker.clock.nowMs() }
      }
      return { all: yield* listenHttp(broker, parts, listeners), readiness }
    })
  )

export const layerKafkaListeners = (settings: ClientSettings, listeners: ReadonlyArray<KafkaListenerOptions>) =>
  Layer.scoped(
    KafkaListeners,
    Effect.flatMap(Broker, (broker) => listenKafka(broker, settings, listeners))
  )

export const layerMqttListeners = (listeners: ReadonlyArray<MqttListenerOptions>) =>
  Layer.scoped(
    MqttListeners,
    Effect.flatMap(Mqtt, (mqtt) =>
      Effect.parallelFinalizers(Effect.forEach(listeners, (options) => listenMqtt(mqtt, options)))
    )
  )

export const layerMqttWebSocketListeners = (listeners: ReadonlyArray<WebSocketOptions>) =>
  Layer.scoped(
    MqttWebSocketListeners,
    Effect.flatMap(Mqtt, (mqtt) =>
      Effect.parallelFinalizers(Effect.forEach(listeners, (options) => listenMqttWebSocket(mqtt, options)))
    )
  )

const portOf = (listeners: All, name: ListenerProtocol): number =>
  listeners.find((listening) => listening.name === name)?.port ?? 0

const layerServing = Layer.scoped(
  Serving,
  Effect.gen(function* () {
    const { all: http, readiness } = yield* HttpListeners
    const kafka = yield* KafkaListeners
    const mqtt = yield* MqttListeners
    const mqttWs = yield* MqttWebSocketListeners
    yield* Effect.addFinalizer(() => Effect.sync(() => void (readiness.isDraining = true)))
    const ports: Ports = {
      mqtt: portOf(mqtt, "mqtt"),
      mqttWs: portOf(mqttWs, "mqttWs"),
      kafka: portOf(kafka, "kafka"),
      http: portOf(http, "http")
    }
    return { ports, listeners: [...mqtt, ...mqttWs, ...kafka, ...http] }
  })
)

/** Every listener that a configuration names. */
export const layerListeners = (config: Config, settings: ReadonlyArray<EffectiveSetting>) => {
  const { zstdClients, autoCreateTopics, defaultPartitions } = config.kafka
  const ofClients = { zstdClients: new Set(zstdClients.split(",")), autoCreateTopics, defaultPartitions }
  const certificates = Layer.scoped(
    Certificates,
    Effect.flatMap(Broker, ({ log, clock }) => openCertificates(tlsOf(config), log, clock))
  )
  const over = Effect.map(Certificates, (loaded) => {
    const { mqtt, mqttWs, kafka, http } = listenersOf(config, loaded.of)
    return layerServing.pipe(
      Layer.provideMerge(layerMqttWebSocketListeners(mqttWs)),
      Layer.provideMerge(layerMqttListeners(mqtt)),
      Layer.provideMerge(layerKafkaListeners(ofClients, kafka)),
      Layer.provideMerge(layerHttpListeners(http, settings))
    )
  })
  return Layer.unwrapEffect(over).pipe(Layer.provideMerge(certificates))
}
