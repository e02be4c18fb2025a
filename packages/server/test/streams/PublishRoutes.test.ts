import { catalogActor, type CatalogCommand } from "@logbrook/actors/catalog/CatalogProtocol"
import type { AckReceiver, PartitionBatch } from "@logbrook/core/shard/Intake"
import * as Exit from "effect/Exit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { PublishRoutes, type Publication } from "../../src/streams/PublishRoutes.ts"
import { type Kit, startKit } from "../mqtt/kit.ts"

let kit: Kit
let routes: PublishRoutes

beforeEach(async () => {
  kit = await startKit()
  routes = new PublishRoutes(kit.broker.shards, kit.broker.directory, "dev1")
})

afterEach(() => kit.stop())

const publication = (topic: string, payload: string, rest: Partial<Publication> = {}): Publication => ({
  topic,
  payload: Buffer.from(payload),
  qos: 1,
  retain: false,
  userProperties: undefined,
  contentType: undefined,
  responseTopic: undefined,
  correlationData: undefined,
  payloadFormat: undefined,
  expiryAtMs: undefined,
  ...rest
})

const never = (): never => {
  throw new Error("there is no partition batch")
}

const nowMs = (): number => kit.broker.clock.nowMs()

/** Collects what is acknowledged: the token, and the offset or why there is none. */
class Receiver implements AckReceiver {
  readonly told: Array<string> = []

  acked(token: number, batch: PartitionBatch | undefined, index: number): void {
    this.told.push(
      `${token} ${batch?.refusal === undefined ? `at ${batch!.baseOffset + index}` : String(batch.refusal)}`
    )
  }
}

const put = (topic: string, payload: string, receiver?: AckReceiver, token = 0): boolean =>
  routes.appendOnly(publication(topic, payload), nowMs(), receiver, token)

const alter = (command: CatalogCommand): Promise<void> =>
  new Promise((resolve, reject) => {
    kit.shard.offer({
      to: catalogActor,
      command,
      cause: { origin: "test" },
      reply: (exit) => (Exit.isSuccess(exit) ? resolve() : reject(new Error(String(exit.cause))))
    })
  })

/** Until the next turn and its commit are through. */
const turned = (): Promise<void> => new Promise((resolve) => kit.shard.ack({ acked: () => resolve() }, 0, undefined, 0))

const values = async (stream: string): Promise<ReadonlyArray<string | null>> => {
  await turned()
  return kit.records(stream).map(({ value }) => value)
}

const set = (name: string, value: string): Promise<void> =>
  alter({ _tag: "AlterStream", name: "one", config: [[name, value]] })

const empty = (topic: string): void =>
  void routes.appendOnly(publication(topic, "", { retain: true }), nowMs(), undefined, 0)

it("tells to the byte what a stream can hold", async () => {
  await kit.bind("with", ["w/#"], 1, { config: [["max.message.bytes", "2000"]] })
  await kit.bind("plain", ["p/#"], 1, {
    config: [
      ["max.message.bytes", "2000"],
      ["mqtt.headers", "false"]
    ],
    key: "none"
  })
  const extras: ReadonlyArray<Partial<Publication>> = [{}, { userProperties: [["a", "b"]], contentType: "text/plain" }]
  for (const topic of ["w/1", "p/1"]) {
    for (const extra of extras) {
      const sized = (bytes: number) => publication(topic, "x".repeat(bytes), extra)
      let largest = 2000
      while (routes.isTooLarge(sized(largest))) largest--
      const [{ batch: waiting } = never()] = routes.append(sized(largest), nowMs())
      const log = kit.shard.logs.log(waiting.logId)
      const before = log.highWatermark
      await expect.poll(() => log.highWatermark).toBe(before + 1)
      const batch = kit.shard.logs.read(log, waiting.baseOffset, 10_000)[0]!
      expect(batch.length).toBe(2000)
    }
  }
})

it("tells so whatever the limits on user properties are", async () => {
  await kit.stop()
  kit = await startKit({ limits: { userPropertiesBytesMax: 512 * 1024, userPropertiesMax: 64 } })
  routes = new PublishRoutes(kit.broker.shards, kit.broker.directory, "dev1")
  await kit.bind("one", ["t/#"])
  const userProperties = Array.from({ length: 8 }, (_, i) => [`n${i}`, "x".repeat(60_000)] as const)
  const payload = "y".repeat(600_000)
  expect(routes.isTooLarge(publication("t/x", payload))).toBe(false)
  expect(routes.isTooLarge(publication("t/x", payload, { userProperties }))).toBe(true)
})

describe("appendOnly", () => {
  it("stores for the one stream, and acknowledges each message with its own offset", async () => {
    await kit.bind("one", ["t/#"])
    const receiver = new Receiver()
    expect(["a", "b", "c"].map((payload, i) => put("t/x", payload, receiver, 7 + i))).toEqual([true, true, true])
    await turned()
    expect(receiver.told).toEqual(["7 at 0", "8 at 1", "9 at 2"])
    expect(await values("one")).toEqual(["a", "b", "c"])
  })

  it("does nothing at all for no stream and for two", async () => {
    await kit.bind("one", ["t/#"])
    await kit.bind("two", ["t/x"])
    const receiver = new Receiver()
    const { waiting } = kit.shard
    expect([put("t/x", "a", receiver), put("u", "a", receiver)]).toEqual([false, false])
    expect(kit.shard.waiting).toBe(waiting)
    await turned()
    expect(receiver.told).toEqual([])
    expect([await values("one"), await values("two")]).toEqual([[], []])
  })

  it("takes the headers of each message, whatever QoS and retain the one before had", async () => {
    await kit.bind("one", ["t/#"])
    const flags = [0, 1, 2].flatMap((qos) => [false, true].map((retain) => ({ qos, retain })))
    for (const each of [...flags, ...flags.toReversed()]) {
      routes.appendOnly(publication("t/x", "a", each), nowMs(), undefined, 0)
    }
    await turned()
    const stored = kit.records("one").map(({ headers }) => {
      const all = new Map(headers)
      return { qos: Number(all.get("mqtt.qos")), retain: all.get("mqtt.retain") === "1" }
    })
    expect(stored).toEqual([...flags, ...flags.toReversed()])
  })
})

describe("lacksKey", () => {
  it("is asked of compacted streams whose key depends on the message", async () => {
    await kit.bind("named", ["t/#"], 1, { key: "user-property:name", config: [["cleanup.policy", "compact"]] })
    await kit.bind("level", ["t/x/#"], 1, { key: "topic[4]", config: [["cleanup.policy", "compact"]] })
    await kit.bind("kept", ["u/#"], 1, { key: "user-property:name" })
    await kit.bind("byTopic", ["v/#"], 1, { key: "topic", config: [["cleanup.policy", "compact"]] })
    const named: Publication["userProperties"] = [["name", "n"]]
    expect([routes.lacksKey("t/a", undefined), routes.lacksKey("t/a", named)]).toEqual([true, false])
    expect([routes.lacksKey("t/x", named), routes.lacksKey("t/x/y/z", named)]).toEqual([true, false])
    expect(["u/a", "v/a", "w"].map((topic) => routes.lacksKey(topic, undefined))).toEqual([false, false, false])
  })
})

describe("the last route", () => {
  it("gives way to a stream that is made, altered, deleted or made again while the topic stays", async () => {
    expect(put("t/x", "nobody's")).toBe(false)
    await kit.bind("one", ["t/#"])
    expect(put("t/x", "1")).toBe(true)
    await kit.bind("two", ["t/x"])
    expect(put("t/x", "refused: two streams")).toBe(false)
    await alter({ _tag: "AlterStream", name: "two", filters: ["u"] })
    expect(put("t/x", "2")).toBe(true)
    const before = await values("one")
    await alter({ _tag: "DeleteStream", name: "one" })
    expect(put("t/x", "nobody's")).toBe(false)
    await kit.bind("one", ["t/x"])
    expect(put("t/x", "3")).toBe(true)
    await turned()
    expect([before, await values("one"), await values("two")]).toEqual([["1", "2"], ["3"], []])
  })

  it("has a stream's settings as they are, not as they were", async () => {
    await kit.bind("one", ["t/#"], 1, { key: "topic" })
    empty("t/x")
    await set("cleanup.policy", "compact")
    empty("t/x")
    await set("cleanup.policy", "delete")
    empty("t/x")
    await set("mqtt.headers", "false")
    empty("t/x")
    await turned()
    expect(await values("one")).toEqual(["", null, "", ""])
    expect(kit.records("one").map(({ headers }) => headers.length)).toEqual([4, 4, 4, 0])
  })

  it("is that of the topic, through any change of topics and more of them than are remembered", async () => {
    await kit.bind("a", ["a/#"], 1, { key: "topic" })
    await kit.bind("b", ["b/#"], 1, { key: "topic" })
    const topics = Array.from({ length: 100 }, (_, i) => [`a/${i}`, `a/${i}`, `b/${i % 3}`, `a/${i}`]).flat()
    for (const topic of topics) expect(put(topic, topic)).toBe(true)
    await turned()
    for (const stream of ["a", "b"]) {
      const stored = kit.records(stream)
      expect(stored.map(({ value }) => value)).toEqual(topics.filter((topic) => topic.startsWith(stream)))
      for (const { key, value, headers } of stored) expect([key, headers[0]![1]]).toEqual([value, value])
    }
  })

  it("is each client's own", async () => {
    await kit.bind("one", ["t/#"])
    const other = new PublishRoutes(kit.broker.shards, kit.broker.directory, "dev2")
    for (const each of [routes, other, routes, other]) {
      each.appendOnly(publication("t/x", "a"), nowMs(), undefined, 0)
    }
    await turned()
    expect(kit.records("one").map(({ key, headers }) => [key, headers[1]![1]])).toEqual([
      ["dev1", "dev1"],
      ["dev2", "dev2"],
      ["dev1", "dev1"],
      ["dev2", "dev2"]
    ])
  })
})
