/** Drives Node-RED: a connection is a flow with a broker, a dynamic "mqtt in", a function behind it, and an "mqtt out". */
import { createRequire } from "node:module"
import * as path from "node:path"
import { say, serve, type Words } from "./program.ts"

type Plain = Record<string, unknown>

interface RedNode {
  readonly receive: (message: Plain) => void
}

/** What an "mqtt in" hands on. */
interface Incoming {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payload: string
  readonly responseTopic?: string
  readonly correlationData?: Buffer
}

/** Of Node-RED's, what is used here. */
interface Red {
  readonly init: (settings: Plain) => void
  readonly start: () => Promise<void>
  readonly version: () => string
  readonly events: {
    on(event: "node-status", hear: (told: { id: string; status: { fill?: string } }) => void): void
    once(event: "flows:started", hear: () => void): void
  }
  readonly hooks: {
    add(hook: "onComplete", hear: (event: { msg: { _command?: string }; error?: unknown }) => void): void
  }
  readonly runtime: { flows: { addFlow(options: { flow: Plain }): Promise<string> } }
  readonly nodes: { getNode(id: string): RedNode }
}

const red = createRequire(path.join(import.meta.dirname, "../../.cache/node-red/package.json"))("node-red") as Red

class Connection {
  readonly name: string
  readonly key: string
  readonly words: Words
  isUp = false
  /** Resolves `connect`. */
  up: () => void = () => undefined
  readonly aliases = new Map<string, number>()

  constructor(words: Words, number: number) {
    this.words = words
    this.name = words.get("client")!
    this.key = `c${number}`
  }

  get incoming(): RedNode {
    return red.nodes.getNode(`${this.key}-in`)
  }

  flow(): Plain {
    const { key, words } = this
    const host = words.has("websocket") ? `ws://127.0.0.1:${words.get("port")}` : "127.0.0.1"
    const will = words.has("willTopic")
      ? {
          willTopic: words.get("willTopic"),
          willQos: words.get("willQos"),
          willPayload: words.get("willPayload"),
          willMsg: words.has("willDelay") ? { delay: words.get("willDelay") } : {}
        }
      : {}
    const broker = {
      id: `${key}-broker`,
      type: "mqtt-broker",
      broker: host,
      port: words.get("port"),
      clientid: words.get("id"),
      autoConnect: false,
      autoUnsubscribe: false,
      protocolVersion: words.get("version"),
      keepalive: "60",
      cleansession: words.get("clean") === "1",
      sessionExpiry: words.get("expiry") ?? "",
      ...will
    }
    const func = `global.get("heard")(${JSON.stringify(this.name)}, msg)`
    const place = { x: 0, y: 0, broker: broker.id }
    const nodes = [
      { ...place, id: `${key}-in`, type: "mqtt in", inputs: 1, datatype: "utf8", wires: [[`${key}-heard`]] },
      { ...place, id: `${key}-heard`, type: "function", func, outputs: 0, wires: [] },
      { ...place, id: `${key}-out`, type: "mqtt out", topic: "", qos: "", retain: "", wires: [] }
    ]
    return { label: key, nodes, configs: [broker] }
  }
}

const heard = (client: string, message: Incoming): void => {
  const { topic, qos, retain, payload, responseTopic, correlationData } = message
  say("message", {
    client,
    topic,
    qos,
    retain: Number(retain),
    payload,
    response: responseTopic,
    correlation: correlationData?.toString()
  })
}

/** By node: whose status it is. */
const byNode = new Map<string, Connection>()
/** By client id: what a session is subscribed to. Node-RED has to know it before its messages come. */
const sessions = new Map<string, Array<Plain>>()
const completing = new Map<string, { resolve: () => void; reject: (cause: unknown) => void }>()
let commands = 0

/** Resolves when the node is done with the message: "mqtt out", when it is acknowledged. */
const completed = (node: RedNode, message: Plain): Promise<void> =>
  new Promise((resolve, reject) => {
    const command = String(++commands)
    completing.set(command, { resolve, reject })
    node.receive({ ...message, _command: command })
  })

const flowsStarted = (): Promise<void> => new Promise((resolve) => red.events.once("flows:started", resolve))

const connect = async (words: Words): Promise<Connection> => {
  const connection = new Connection(words, byNode.size)
  byNode.set(`${connection.key}-in`, connection)
  const id = words.get("id")!
  const filters = words.get("clean") === "1" ? [] : (sessions.get(id) ?? [])
  sessions.set(id, filters)
  const started = flowsStarted()
  await red.runtime.flows.addFlow({ flow: connection.flow() })
  await started
  for (const filter of filters) await completed(connection.incoming, { action: "subscribe", topic: filter })
  const up = new Promise<void>((resolve) => (connection.up = resolve))
  connection.incoming.receive({ action: "connect" })
  await up
  return connection
}

const publish = (connection: Connection, words: Words): Promise<void> => {
  const topic = words.get("topic")!
  const { aliases } = connection
  if (connection.words.has("byAlias") && !aliases.has(topic)) aliases.set(topic, aliases.size + 1)
  return completed(red.nodes.getNode(`${connection.key}-out`), {
    topic,
    payload: words.get("payload")!,
    qos: Number(words.get("qos")),
    retain: words.get("retain") === "1",
    ...(aliases.has(topic) && { topicAlias: aliases.get(topic) }),
    ...(words.has("response") && {
      responseTopic: words.get("response"),
      correlationData: Buffer.from(words.get("correlation")!)
    })
  })
}

/** SUBACK is not told: a message behind the SUBSCRIBE on the same connection is answered after it. */
const subscribe = async (connection: Connection, words: Words): Promise<void> => {
  const filter = { topic: words.get("filter")!, qos: Number(words.get("qos")), rap: false }
  sessions.get(connection.words.get("id")!)!.push(filter)
  await completed(connection.incoming, { action: "subscribe", topic: filter })
  const topic = `programs/${connection.words.get("id")}`
  await publish(connection, new Map(Object.entries({ topic, payload: "subscribed", qos: "1" })))
}

const disconnect = (connection: Connection): Promise<void> => completed(connection.incoming, { action: "disconnect" })

/** Nothing is kept: every run begins without flows. */
const nowhere = {
  init: () => Promise.resolve(),
  getFlows: () => Promise.resolve([]),
  saveFlows: () => Promise.resolve(),
  getCredentials: () => Promise.resolve({}),
  saveCredentials: () => Promise.resolve(),
  getSettings: () => Promise.resolve({}),
  saveSettings: () => Promise.resolve(),
  getSessions: () => Promise.resolve({}),
  saveSessions: () => Promise.resolve(),
  getLibraryEntry: () => Promise.resolve([]),
  saveLibraryEntry: () => Promise.resolve()
}

red.init({
  httpAdminRoot: false,
  httpNodeRoot: false,
  storageModule: nowhere,
  logging: { console: { level: "off", metrics: false, audit: false } },
  telemetry: { enabled: false },
  functionGlobalContext: { heard },
  mqttReconnectTime: 200
})
red.hooks.add("onComplete", ({ msg, error }) => {
  const waiting = msg._command === undefined ? undefined : completing.get(msg._command)
  if (error) waiting?.reject(error)
  else waiting?.resolve()
})
red.events.on("node-status", ({ id, status }) => {
  const connection = byNode.get(id)
  if (connection === undefined) return
  const wasUp = connection.isUp
  connection.isUp = status.fill === "green"
  if (!connection.isUp || wasUp) return
  say("connected", { client: connection.name })
  connection.up()
})
const isStarted = flowsStarted()
await red.start()
await isStarted
serve("node-red", red.version(), { connect, subscribe, publish, disconnect })
