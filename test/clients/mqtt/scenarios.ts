import { setTimeout as sleep } from "node:timers/promises"
import { expect } from "vitest"
import { kcatRead } from "../../support/kcat.ts"
import type { ServerProcess } from "../../support/server.ts"
import { patienceMs, type Words } from "../../support/LineProgram.ts"
import { waitUntil } from "../../support/waitUntil.ts"
import type { Client, Version } from "./clients.ts"
import { Program, type Message } from "./Program.ts"
import { Tap, type Passed } from "./Tap.ts"

/** What a scenario works with. The server and the program are this client's alone. */
export interface Context {
  readonly client: Client
  readonly version: Version
  readonly server: ServerProcess
  readonly program: Program
  /** Of the scenario: topics, client ids and streams begin with it. */
  readonly name: string
}

export interface Scenario {
  readonly feature: string
  readonly versions: ReadonlyArray<Version>
  readonly run: (context: Context) => Promise<void>
}

type Qos = 0 | 1 | 2
const qualities: ReadonlyArray<Qos> = [0, 1, 2]
const both: ReadonlyArray<Version> = [4, 5]
const only5: ReadonlyArray<Version> = [5]
const bigBytes = 1_048_576
const sessionExpiryS = 600

const payloads = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map(({ payload }) => payload)
const numbered = (prefix: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** One connection of the program; its client id is unique on the server. */
const connectWords = ({ name, version, server }: Context, client: string, more: Words = {}): Words => ({
  client: `${name}-${client}`,
  id: `${name}-${client}`,
  version,
  port: server.ports.mqtt,
  clean: 1,
  ...more
})

const connect = async (context: Context, client: string, more: Words = {}): Promise<string> => {
  const words = connectWords(context, client, more)
  await context.program.ask("connect", words)
  return `${words["client"]}`
}

/** With a session that outlives its connection. */
const durable: Words = { clean: 0, expiry: sessionExpiryS }

const subscribe = ({ program }: Context, client: string, filter: string, qos: Qos, more: Words = {}): Promise<void> =>
  program.ask("subscribe", { client, filter, qos, ...more })

const publish = (
  { program }: Context,
  client: string,
  topic: string,
  payload: string,
  qos: Qos,
  more: Words = {}
): Promise<void> => program.ask("publish", { client, topic, payload, qos, retain: 0, ...more })

const disconnect = async ({ program }: Context, ...clients: ReadonlyArray<string>): Promise<void> => {
  for (const client of clients) await program.ask("disconnect", { client })
}

/** CONNACK's Session Present, where the library shows it. */
const expectSession = ({ program, client }: Context, of: string, isPresent: boolean): void => {
  expect(program.connacks(of).at(-1)).toBe(client.hidesSessionPresent === true ? undefined : isPresent)
}

// --- The features ---

const connecting = async (context: Context): Promise<void> => {
  const a = await connect(context, "a")
  expectSession(context, a, false)
  await disconnect(context, a)
  await connect(context, "a", durable)
  expectSession(context, a, false)
  await subscribe(context, a, `${context.name}/a`, 1)
  await disconnect(context, a)
  await connect(context, "a", durable)
  expectSession(context, a, true)
  await disconnect(context, a)
  await connect(context, "a")
  expectSession(context, a, false)
  await disconnect(context, a)
}

/** To itself, each message once, in order and with its QoS. */
const thereAndBack =
  (qos: Qos, more: (context: Context) => Words = () => ({})) =>
  async (context: Context): Promise<void> => {
    const a = await connect(context, `q${qos}`, more(context))
    const topic = `${context.name}/q${qos}`
    await subscribe(context, a, topic, qos)
    const sent = numbered("m", 10)
    for (const payload of sent) await publish(context, a, topic, payload, qos)
    const received = await context.program.received(a, sent.length)
    await disconnect(context, a)
    expect(payloads(received)).toEqual(sent)
    expect(new Set(received.map((message) => `${message.topic} ${message.qos} ${message.retain}`))).toEqual(
      new Set([`${topic} ${qos} false`])
    )
  }

const retained = async (context: Context): Promise<void> => {
  const topic = `${context.name}/state`
  const a = await connect(context, "a")
  await publish(context, a, topic, "on", 1, { retain: 1 })
  const b = await connect(context, "b")
  await subscribe(context, b, topic, 1)
  await context.program.received(b, 1)
  await publish(context, a, topic, "", 1, { retain: 1 })
  await context.program.received(b, 2)
  const c = await connect(context, "c")
  await subscribe(context, c, topic, 1)
  await publish(context, a, topic, "live", 1)
  await context.program.received(b, 3)
  await context.program.received(c, 1)
  await disconnect(context, a, b, c)
  const seen = (client: string) => context.program.messages(client).map(({ payload, retain }) => [payload, retain])
  expect(seen(b)).toEqual([
    ["on", true],
    ["", false],
    ["live", false]
  ])
  expect(seen(c)).toEqual([["live", false]])
}

const willWords = (context: Context): Words => ({
  willTopic: `${context.name}/will`,
  willPayload: "gone",
  willQos: 1
})

/** A second program connects, and is killed. Resolves with when that was at the earliest, in ms. */
const diesWith = async (context: Context, more: Words): Promise<number> => {
  const victim = await Program.start(context.client)
  try {
    await victim.ask("connect", connectWords(context, "victim", more))
    return performance.now()
  } finally {
    await victim.kill()
  }
}

const will = async (context: Context): Promise<void> => {
  const a = await connect(context, "a")
  await subscribe(context, a, `${context.name}/will`, 1)
  await diesWith(context, willWords(context))
  await context.program.received(a, 1)
  await disconnect(context, a)
  expect(context.program.messages(a)).toMatchObject([{ topic: `${context.name}/will`, payload: "gone", qos: 1 }])
}

const willDelay = async (context: Context): Promise<void> => {
  const delayMs = 1000
  const a = await connect(context, "a")
  await subscribe(context, a, `${context.name}/will`, 1)
  const words = { ...durable, ...willWords(context), willDelay: delayMs / 1000 }
  const diedMs = await diesWith(context, words)
  await context.program.received(a, 1)
  // Node's timers may be a millisecond early.
  expect(performance.now() - diedMs).toBeGreaterThan(delayMs - 10)
  // Whoever is back in time has no will published: the watcher gets what is published behind the delay, and nothing before it.
  await diesWith(context, { ...words, willDelay: 5 })
  const back = await connect(context, "victim", durable)
  expectSession(context, back, true)
  await sleep(6000)
  await publish(context, a, `${context.name}/will`, "still-there", 1)
  await context.program.received(a, 2)
  await disconnect(context, back, a)
  expect(payloads(context.program.messages(a))).toEqual(["gone", "still-there"])
}

/** Until the server has the client's last acknowledgement. */
const acknowledged = ({ server }: Context, client: string): Promise<unknown> =>
  waitUntil("the last acknowledgement", patienceMs, async () => {
    const { unacknowledged } = await server.get<{ unacknowledged: number }>(`/sessions/${client}`)
    return unacknowledged === 0
  })

/** Sessions that are connected, and that are not, over an end of the server. */
const resume =
  (end: (server: ServerProcess) => Promise<unknown>) =>
  async (context: Context): Promise<void> => {
    const { name, program, server } = context
    const away = await connect(context, "away", durable)
    await subscribe(context, away, `${name}/#`, 2)
    await disconnect(context, away)
    const here = await connect(context, "here", durable)
    await subscribe(context, here, `${name}/#`, 2)
    const writer = await connect(context, "writer")
    const before = numbered("before", 6)
    for (const [i, payload] of before.entries())
      await publish(context, writer, `${name}/a`, payload, i % 2 === 0 ? 1 : 2)
    await program.received(here, before.length)
    await disconnect(context, writer)
    await acknowledged(context, here)

    await end(server)
    await server.start()
    await program.connected(here, 2)
    expectSession(context, here, true)
    await connect(context, "writer")
    const after = numbered("after", 6)
    for (const [i, payload] of after.entries())
      await publish(context, writer, `${name}/a`, payload, i % 2 === 0 ? 1 : 2)
    await connect(context, "away", durable)
    expectSession(context, away, true)
    for (const reader of [here, away]) {
      const received = await program.received(reader, before.length + after.length)
      for (const qos of [1, 2]) {
        expect(payloads(received.filter((message) => message.qos === qos))).toEqual(
          [...before, ...after].filter((_, i) => i % 2 === qos - 1)
        )
      }
    }
    await disconnect(context, writer, here, away)
  }

const ofQos2 = (values: ReadonlyArray<string>): ReadonlyArray<string> =>
  values.filter((value) => value.startsWith("q2")).toSorted()

/** What is under way both ways when the server is killed comes: of QoS 2 each message once, of QoS 1 at least once. */
const sendingOverKill = async (context: Context): Promise<void> => {
  const { client, name, program, server } = context
  await server.createStream(name, { filters: [`${name}/#`], partitions: 1 })
  const writer = await connect(context, "writer", durable)
  const reader = await connect(context, "reader", durable)
  await subscribe(context, reader, `${name}/#`, client.receivedQos2OverEnd === "stuck" ? 1 : 2)
  const count = 40
  const sent = ([1, 2] as const).flatMap((qos) => numbered(`q${qos}-`, count).map((payload) => ({ payload, qos })))
  const answers = sent.map(({ payload, qos }) => publish(context, writer, `${name}/${qos}`, payload, qos))
  const all = Promise.all(answers)
  // Nobody waits for it until the server is back.
  all.catch(() => undefined)
  await Promise.race(answers)
  await server.kill()
  await server.start()
  await all
  const expected = sent.map(({ payload }) => payload).toSorted()
  const distinct = () => new Set(payloads(program.messages(reader))).size
  await waitUntil("every message", patienceMs, () => distinct() === expected.length)
  const stored = (await kcatRead(server.kafka, name)).map(({ value }) => `${value}`)
  expect([...new Set(stored)].toSorted()).toEqual(expected)
  expect(ofQos2(stored)).toEqual(ofQos2(expected))
  await disconnect(context, writer, reader)
  const received = ofQos2(payloads(program.messages(reader)))
  if (client.receivedQos2OverEnd === undefined) expect(received).toEqual(ofQos2(expected))
  else expect([...new Set(received)]).toEqual(ofQos2(expected))
}

const shared = async (context: Context): Promise<void> => {
  const { name, program } = context
  const members = [await connect(context, "a"), await connect(context, "b")]
  for (const member of members) await subscribe(context, member, `$share/group/${name}/work`, 1)
  const writer = await connect(context, "writer")
  const sent = numbered("m", 20)
  for (const payload of sent) await publish(context, writer, `${name}/work`, payload, 1)
  const received = () => members.map((member) => payloads(program.messages(member)))
  await waitUntil("every message", patienceMs, () => received().flat().length >= sent.length)
  await disconnect(context, writer, ...members)
  expect(received().flat().toSorted()).toEqual([...sent].toSorted())
  for (const part of received()) expect(part.length).toBeGreaterThan(0)
}

/** Members come and go: each record of the stream goes to one of them, and whoever comes later goes on where the group was. */
const sharedStream = async (context: Context): Promise<void> => {
  const { name, program, server } = context
  await server.createStream(name, { filters: [`${name}/#`], partitions: 2 })
  const writer = await connect(context, "writer")
  const sent = numbered("m", 40)
  const publishSome = async (from: number, to: number): Promise<void> => {
    for (const payload of sent.slice(from, to)) await publish(context, writer, `${name}/work`, payload, 1)
  }
  await publishSome(0, 20)
  const filter = `$share/group/$stream/${name}?from=earliest`
  const members: Array<string> = []
  const joins = async (client: string): Promise<void> => {
    members.push(await connect(context, client))
    await subscribe(context, `${name}-${client}`, filter, 1)
  }
  const received = () => members.map((member) => payloads(program.messages(member)))
  const receivedAll = (count: number) => waitUntil("every record", patienceMs, () => received().flat().length >= count)
  await joins("a")
  await receivedAll(20)
  await joins("b")
  await publishSome(20, 30)
  await receivedAll(30)
  for (const member of members) await acknowledged(context, member)
  await disconnect(context, ...members)
  await publishSome(30, 40)
  await joins("c")
  await receivedAll(40)
  await disconnect(context, writer, members[2]!)
  expect(received().flat().toSorted()).toEqual(sent.toSorted())
  const [a, b, c] = received()
  expect([a!.length >= 20, b!.length > 0, c]).toEqual([true, true, sent.slice(30)])
}

/** The topics that were meant, by the aliases that were given before. */
const resolved = (passed: ReadonlyArray<Passed>): ReadonlyArray<string | undefined> => {
  const topics = new Map<number | undefined, string>()
  return passed.map(({ topic, alias }) => {
    if (topic !== "") topics.set(alias, topic)
    return topics.get(alias)
  })
}

/** Which the tap sees. A sender may wait until a topic comes again before it gives it an alias. */
const aliases =
  (way: "toServer" | "toClient") =>
  async (context: Context): Promise<void> => {
    const tap = await Tap.start(context.server.ports.mqtt)
    try {
      const words = way === "toServer" ? { byAlias: 1 } : { aliases: 5 }
      const a = await connect(context, way, { port: tap.port, ...words })
      await subscribe(context, a, `${context.name}/#`, 1)
      const sent = numbered("m", 6)
      const topics = sent.map((_, i) => `${context.name}/${i % 2}`)
      for (const [i, payload] of sent.entries()) await publish(context, a, topics[i]!, payload, 1)
      const received = await context.program.received(a, sent.length)
      await disconnect(context, a)
      expect(received.map(({ topic }) => topic)).toEqual(topics)
      expect(payloads(received)).toEqual(sent)
      // Some programs have messages of their own.
      const passed = tap[way].filter(({ topic }) => !topic.startsWith("programs/"))
      expect(resolved(passed)).toEqual(topics)
      expect(passed.slice(-2).map(({ topic }) => topic)).toEqual(["", ""])
    } finally {
      await tap.end()
    }
  }

const identifiers = async (context: Context): Promise<void> => {
  const { name, program } = context
  const a = await connect(context, "a")
  await subscribe(context, a, `${name}/+/x`, 1, { identifier: 7 })
  await publish(context, a, `${name}/1/x`, "one", 1)
  await program.received(a, 1)
  const b = await connect(context, "b")
  await subscribe(context, b, `${name}/1/#`, 1, { identifier: 268_435_455 })
  await publish(context, a, `${name}/1/x`, "two", 1)
  await program.received(a, 2)
  await program.received(b, 1)
  await disconnect(context, a, b)
  const seen = (client: string) => program.messages(client).map(({ payload, ids }) => [payload, ids])
  expect(seen(a)).toEqual([
    ["one", [7]],
    ["two", [7]]
  ])
  expect(seen(b)).toEqual([["two", [268_435_455]]])
}

const requestResponse = async (context: Context): Promise<void> => {
  const { name, program } = context
  const requester = await connect(context, "requester")
  const responder = await connect(context, "responder")
  await subscribe(context, requester, `${name}/answers`, 1)
  await subscribe(context, responder, `${name}/questions`, 1)
  const asked = { response: `${name}/answers`, correlation: "c-17" }
  await publish(context, requester, `${name}/questions`, "how-many", 1, asked)
  const [question] = await program.received(responder, 1)
  expect(question).toMatchObject({ payload: "how-many", ...asked })
  await publish(context, responder, question!.response!, "three", 1, {
    response: `${name}/none`,
    correlation: question!.correlation
  })
  const [answer] = await program.received(requester, 1)
  await disconnect(context, requester, responder)
  expect(answer).toMatchObject({ topic: `${name}/answers`, payload: "three", correlation: "c-17" })
}

/** No part of it is like another, so that pieces in the wrong place are seen. */
const bigPayload = (): string =>
  Array.from({ length: bigBytes / 8 }, (_, i) => i.toString(36).padStart(8, ".")).join("")

const big =
  (more: (context: Context) => Words = () => ({})) =>
  async (context: Context): Promise<void> => {
    const payload = bigPayload()
    expect(payload).toHaveLength(bigBytes)
    const a = await connect(context, "big", more(context))
    await subscribe(context, a, `${context.name}/big`, 2)
    for (const qos of qualities) {
      await publish(context, a, `${context.name}/big`, payload, qos)
      const received = await context.program.received(a, qos + 1)
      expect(received[qos]!.payload === payload).toBe(true)
    }
    await disconnect(context, a)
  }

const overWebSocket = ({ server }: Context): Words => ({ websocket: 1, port: server.ports.mqttWs })

const webSocket = async (context: Context): Promise<void> => {
  for (const qos of qualities) await thereAndBack(qos, overWebSocket)(context)
  await big(overWebSocket)(context)
}

export const scenarios: ReadonlyArray<Scenario> = [
  { feature: "connect", versions: both, run: connecting },
  ...qualities.map((qos) => ({ feature: `QoS ${qos} both ways`, versions: both, run: thereAndBack(qos) })),
  { feature: "retained messages", versions: both, run: retained },
  { feature: "will", versions: both, run: will },
  { feature: "will delay", versions: only5, run: willDelay },
  { feature: "session resumed over SIGTERM", versions: both, run: resume((server) => server.stop()) },
  { feature: "session resumed over kill -9", versions: both, run: resume((server) => server.kill()) },
  { feature: "messages under way over kill -9", versions: both, run: sendingOverKill },
  { feature: "shared subscriptions", versions: both, run: shared },
  { feature: "shared subscriptions of a stream", versions: both, run: sharedStream },
  { feature: "topic aliases to the server", versions: only5, run: aliases("toServer") },
  { feature: "topic aliases to the client", versions: only5, run: aliases("toClient") },
  { feature: "subscription identifiers", versions: only5, run: identifiers },
  { feature: "request and response", versions: only5, run: requestResponse },
  { feature: "payloads of 1 MiB", versions: both, run: big() },
  { feature: "WebSocket", versions: both, run: webSocket }
]
