/** Drives mqtt.js. */
import { createRequire } from "node:module"
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt"
import { say, serve, type Words } from "./program.ts"

const willOf = (words: Words): IClientOptions =>
  words.has("willTopic")
    ? {
        will: {
          topic: words.get("willTopic")!,
          payload: Buffer.from(words.get("willPayload")!),
          qos: Number(words.get("willQos")) as 0 | 1 | 2,
          retain: false,
          ...(words.has("willDelay") && { properties: { willDelayInterval: Number(words.get("willDelay")) } })
        }
      }
    : {}

const propertiesOf = (words: Words): IClientOptions =>
  words.get("version") === "5"
    ? {
        autoAssignTopicAlias: words.has("byAlias"),
        properties: {
          ...(words.has("expiry") && { sessionExpiryInterval: Number(words.get("expiry")) }),
          ...(words.has("aliases") && { topicAliasMaximum: Number(words.get("aliases")) })
        }
      }
    : {}

const connect = (words: Words): Promise<MqttClient> => {
  const scheme = words.has("websocket") ? "ws" : "mqtt"
  const name = words.get("client")!
  const client = mqtt.connect(`${scheme}://127.0.0.1:${words.get("port")}`, {
    clientId: words.get("id")!,
    protocolVersion: Number(words.get("version")) as 4 | 5,
    clean: words.get("clean") === "1",
    reconnectPeriod: 200,
    // The session has the subscriptions.
    resubscribe: false,
    ...propertiesOf(words),
    ...willOf(words)
  })
  client.on("error", () => undefined)
  client.on("message", (topic, payload, { qos, retain, properties }) => {
    say("message", {
      client: name,
      topic,
      qos,
      retain: Number(retain),
      payload: payload.toString(),
      // One, or an array of several.
      ids: properties?.subscriptionIdentifier?.toString(),
      response: properties?.responseTopic,
      correlation: properties?.correlationData?.toString()
    })
  })
  return new Promise((resolve) =>
    client.on("connect", ({ sessionPresent }) => {
      say("connected", { client: name, session: Number(sessionPresent) })
      resolve(client)
    })
  )
}

const publish = async (client: MqttClient, words: Words): Promise<void> => {
  const options: IClientPublishOptions = {
    qos: Number(words.get("qos")) as 0 | 1 | 2,
    retain: words.get("retain") === "1"
  }
  if (words.has("response")) {
    const correlationData = Buffer.from(words.get("correlation")!)
    options.properties = { responseTopic: words.get("response")!, correlationData }
  }
  await client.publishAsync(words.get("topic")!, words.get("payload")!, options)
}

const subscribe = async (client: MqttClient, words: Words): Promise<void> => {
  const qos = Number(words.get("qos")) as 0 | 1 | 2
  const identifier = words.get("identifier")
  const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: Number(identifier) } }
  await client.subscribeAsync(words.get("filter")!, { qos, ...properties })
}

const release = (createRequire(import.meta.url)("mqtt/package.json") as { version: string }).version
serve("mqtt.js", release, { connect, subscribe, publish, disconnect: (client) => client.endAsync() })
