/** Drives mqtt.js. */
import { createRequire } from "node:module"
import { createInterface } from "node:readline"
import mqtt, { type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt"

type Words = ReadonlyMap<string, string>

const say = (...words: ReadonlyArray<string>): void => void process.stdout.write(`${words.join(" ")}\n`)

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
    const ids = [properties?.subscriptionIdentifier ?? []].flat()
    say(
      "message",
      `client=${name}`,
      `topic=${topic}`,
      `qos=${qos}`,
      `retain=${Number(retain)}`,
      `payload=${payload}`,
      ...(ids.length > 0 ? [`ids=${ids.join(",")}`] : []),
      ...(properties?.responseTopic === undefined ? [] : [`response=${properties.responseTopic}`]),
      ...(properties?.correlationData === undefined ? [] : [`correlation=${properties.correlationData}`])
    )
  })
  return new Promise((resolve) =>
    client.on("connect", ({ sessionPresent }) => {
      say("connected", `client=${name}`, `session=${Number(sessionPresent)}`)
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

const clients = new Map<string, MqttClient>()

const carryOut = async (verb: string, words: Words): Promise<void> => {
  const name = words.get("client")!
  if (verb === "connect") clients.set(name, await connect(words))
  else if (verb === "publish") await publish(clients.get(name)!, words)
  else if (verb === "subscribe") await subscribe(clients.get(name)!, words)
  else await clients.get(name)!.endAsync()
}

const release = (createRequire(import.meta.url)("mqtt/package.json") as { version: string }).version
say("ready", "library=mqtt.js", `release=${release}`)
createInterface({ input: process.stdin }).on("line", (line) => {
  const [id, verb, ...said] = line.split(" ") as [string, string, ...Array<string>]
  const words = new Map(said.map((word) => [word.split("=", 1)[0]!, word.slice(word.indexOf("=") + 1)]))
  carryOut(verb, words).then(
    () => say(id, "ok"),
    (cause: unknown) => say(id, "failed", String(cause))
  )
})
