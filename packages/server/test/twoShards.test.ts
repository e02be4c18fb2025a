import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { catalogActor } from "@logbrook/actors/catalog/CatalogProtocol"
import { CatalogStates } from "@logbrook/actors/catalog/Catalog"
import { GroupStates } from "@logbrook/actors/group/groupState"
import { kindOf, nameOf } from "@logbrook/core/actor/Definition"
import { systemClock } from "@logbrook/core/Clock"
import type { Commit, Journal } from "@logbrook/core/journal/Journal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { ownLogId, type Placement } from "@logbrook/core/shard/Shards"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import { EndTxn } from "@logbrook/protocols/kafka/messages/26_EndTxn"
import { Broker, layerOver, Mqtt, Recovered, recovered } from "../src/composition.ts"
import { listenKafka } from "../src/kafka/KafkaListener.ts"
import { listenMqtt } from "../src/mqtt/MqttListener.ts"
import { batchOf, RawClient } from "./kafka/kit.ts"
import { fetchOf, only, produceOf } from "./kafka/requests.ts"
import { connected, publishPacket, type RawConnect, subscribePacket } from "./mqtt/kit.ts"
import { localListener } from "./support/listener.ts"
import { acquired, built, layerTest } from "./support/parts.ts"

/** The catalog, even logs and what is named "near" are the first shard's, the rest is the second's. */
const placement: Placement = (actor) => {
  const kind = kindOf(actor)
  const name = nameOf(actor)
  if (kind === "partition") return Number(name) % 2
  return kind === "catalog" || name.startsWith("near") ? 0 : 1
}

/** Appends wait for as long as it is held. */
class HeldJournal extends MemoryJournal {
  #held: Array<() => void> | undefined

  hold(): void {
    this.#held = []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const append of held) append()
  }

  override append(commit: Commit, done: Parameters<Journal["append"]>[1]): void {
    const append = (): void => super.append(commit, done)
    if (this.#held === undefined) append()
    else this.#held.push(append)
  }
}

const start = async (journals: ReadonlyArray<Journal>) => {
  const limits = { ...defaultLimits, newConnectionsPerSecondMax: 10_000 }
  const shards = Layer.effect(Recovered, recovered(journals, placement))
  const parts = layerTest({ journal: journals[0]!, limits })
  const { context, close } = built(layerOver(shards).pipe(Layer.provide(parts)))
  const broker = Context.get(context, Broker)
  const mqtt = await acquired(listenMqtt(Context.get(context, Mqtt), { ...localListener("mqtt"), mountPoint: "" }))
  const settings = { zstdClients: new Set<string>(), autoCreateTopics: false, defaultPartitions: 1 }
  const advertised = { host: "127.0.0.1", port: 0 }
  const kafka = await acquired(listenKafka(broker, settings, [{ ...localListener("kafka"), advertised }]))
  return {
    broker,
    mqttPort: mqtt.made.port,
    kafkaPort: kafka.made[0]!.port,
    stop: async () => {
      await mqtt.close()
      await kafka.close()
      await close()
    }
  }
}

let journals: ReadonlyArray<HeldJournal>
let server: Awaited<ReturnType<typeof start>>

beforeEach(async () => {
  journals = [new HeldJournal(systemClock), new HeldJournal(systemClock)]
  server = await start(journals)
})

afterEach(() => server.stop())

/** Log ids follow one another, from 2 on. */
const create = async (name: string, partitions: number, filters: ReadonlyArray<string> = []): Promise<void> => {
  const topicId = Buffer.from(name.padEnd(16)).toString("base64url")
  const command = { name, topicId, filters, partitions, key: "clientid", config: [], validateOnly: false } as const
  const { shards } = server.broker
  await Effect.runPromise(shards.ask(catalogActor, { _tag: "CreateStream", ...command }, { origin: "test" }))
}

const highWatermarks = (): ReadonlyArray<number> =>
  [2, 3, ownLogId(0), ownLogId(1)].map((id) => server.broker.shards.logsOf(id).find(id)?.highWatermark ?? 0)

const logIdsOf = (shard: number): ReadonlyArray<number> =>
  Array.from(server.broker.shards.all[shard]!.logs.logs(), ({ id }) => id).filter((id) => id > 3 || id === 1)

const durable: RawConnect = { flags: 0, properties: [17, 0, 0, 14, 16] }

const payloadOf = (packet: Buffer): string => packet.toString("latin1").slice(-1)

describe("MQTT over two shards", () => {
  it("stores in a stream and for sessions of both shards, each once, and acknowledges when all of it is durable", async () => {
    await create("s", 1, ["t/#"])
    const near = await connected(server.mqttPort, { ...durable, clientId: "near" })
    const far = await connected(server.mqttPort, { ...durable, clientId: "far" })
    for (const client of [near, far]) {
      client.send(subscribePacket(1, [["t/#", 1]]))
      await client.packet()
    }
    const publisher = await connected(server.mqttPort, { clientId: "near publisher" })
    journals[1]!.hold()
    publisher.send(publishPacket("t/a", "1", { qos: 1, packetId: 7 }))
    await expect.poll(highWatermarks).toEqual([1, 0, 1, 0])
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(publisher.waitingBytes).toBe(0)
    journals[1]!.release()
    expect([...(await publisher.packet())]).toEqual([0x40, 2, 0, 7])
    expect(highWatermarks()).toEqual([1, 0, 1, 1])
    for (const client of [near, far]) expect(payloadOf(await client.packet())).toBe("1")

    publisher.send(publishPacket("t/a", "2", { qos: 0 }))
    for (const client of [near, far]) expect(payloadOf(await client.packet())).toBe("2")
    await expect.poll(highWatermarks).toEqual([2, 0, 1, 1])
    expect([logIdsOf(0), logIdsOf(1)]).toEqual([[ownLogId(0)], [ownLogId(1)]])
  })

  it("keeps what a session has not had, in its own shard, over a restart", async () => {
    await create("s", 1, ["t/#"])
    for (const clientId of ["near", "far"]) {
      const client = await connected(server.mqttPort, { ...durable, clientId })
      client.send(subscribePacket(1, [["t/#", 1]]))
      await client.packet()
      client.socket.destroy()
    }
    const publisher = await connected(server.mqttPort, { clientId: "far publisher" })
    publisher.send(publishPacket("t/a", "1", { qos: 1, packetId: 7 }))
    await publisher.packet()
    await server.stop()

    server = await start(journals)
    expect(highWatermarks()).toEqual([1, 0, 1, 1])
    for (const clientId of ["near", "far"]) {
      const client = await connected(server.mqttPort, { ...durable, clientId })
      expect(client.accepted[2]).toBe(1)
      expect(payloadOf(await client.packet())).toBe("1")
    }
  })

  it("retains a message of a topic whose actor is elsewhere, and gives it to a session of each shard", async () => {
    const publisher = await connected(server.mqttPort, { clientId: "near publisher" })
    publisher.send(publishPacket("t/a", "1", { qos: 1, retain: true, packetId: 7 }))
    await publisher.packet()
    for (const clientId of ["near", "far"]) {
      const client = await connected(server.mqttPort, { ...durable, clientId })
      client.send(subscribePacket(1, [["t/#", 1]]))
      expect((await client.packet())[0]).toBe(0x90)
      expect(payloadOf(await client.packet())).toBe("1")
    }
  })
})

describe("Kafka over two shards", () => {
  it("produces to and fetches from partitions of both, each with its shard's leader epoch", async () => {
    await create("s", 2)
    await server.stop()
    // A start of the first shard alone: its epoch is one ahead then.
    const alone = built(
      Layer.provide(Layer.effect(Recovered, recovered([journals[0]!])), layerTest({ journal: journals[0]! }))
    )
    const [shard] = Context.get(alone.context, Recovered).shards.all
    shard!.start(() => undefined)
    await shard!.drained()
    shard!.stop()
    server = await start(journals)
    const client = await RawClient.connect(server.kafkaPort)
    const { topics } = await client.send(Metadata, 12, { topics: [{ name: "s" }] })
    expect(topics[0]!.partitions.map(({ leaderEpoch }) => leaderEpoch)).toEqual([3, 2])

    const waiting = await RawClient.connect(server.kafkaPort)
    const whole = fetchOf("s", { maxWaitMs: 20_000 })
    const asked = whole.topics[0]!.partitions[0]!
    const both = {
      ...whole,
      topics: [{ topic: "s", partitions: [0, 1].map((partition) => ({ ...asked, partition })) }]
    }
    const later = waiting.send(Fetch, 11, both)
    for (const index of [1, 0]) {
      const { responses } = await client.send(Produce, 9, produceOf("s", batchOf([`to ${index}`]), { index }))
      expect(responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 0, baseOffset: 0 })
    }
    expect((await later).responses[0]!.partitions[1]!.highWatermark).toBe(1)
    for (const partition of [0, 1]) {
      const options = { partition, currentLeaderEpoch: [3, 2][partition]! }
      const { errorCode, records } = only(await client.send(Fetch, 11, fetchOf("s", options)))
      expect([errorCode, Buffer.from(records!).includes(`to ${partition}`)]).toEqual([0, true])
    }
    expect(highWatermarks().slice(0, 2)).toEqual([1, 1])
  })

  it.each([
    ["near", "commit"],
    ["far", "abort"]
  ] as const)(
    "writes to both in a transaction whose coordinator is %s, and ends it in both: %s",
    async (id, outcome) => {
      await create("s", 2)
      const client = await RawClient.connect(server.kafkaPort)
      const producer = { transactionalId: id, transactionTimeoutMs: 60_000 }
      const { producerId, producerEpoch } = await client.send(InitProducerId, 5, producer)
      const fields = { producerId, producerEpoch, baseSequence: 0, isTransactional: true }
      const request = produceOf("s", null, { transactionalId: id })
      const partitionData = [0, 1].map((index) => ({ index, records: batchOf([`to ${index}`], fields) }))
      const produced = await client.send(Produce, 12, { ...request, topicData: [{ name: "s", partitionData }] })
      expect(produced.responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)).toEqual([0, 0])
      const logs = [2, 3].map((logId) => server.broker.shards.logsOf(logId).log(logId))
      expect(logs.map((log) => [log.lastStableOffset, log.highWatermark])).toEqual([
        [0, 1],
        [0, 1]
      ])
      const ended = { transactionalId: id, producerId, producerEpoch, committed: outcome === "commit" }
      expect((await client.send(EndTxn, 5, ended)).errorCode).toBe(0)
      await expect
        .poll(() => logs.map((log) => [log.lastStableOffset, log.highWatermark]))
        .toEqual([
          [2, 2],
          [2, 2]
        ])
      const aborted = outcome === "abort" ? 1 : 0
      expect(logs.map((log) => log.abortedWithin(0, 2).length)).toEqual([aborted, aborted])
      // What its coordinator refuses does not come to either.
      const zombie = await client.send(Produce, 12, { ...request, topicData: [{ name: "s", partitionData }] })
      expect(zombie.responses[0]!.partitionResponses.map(({ errorCode }) => errorCode)).toEqual([
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_EPOCH
      ])
    }
  )

  it("keeps the offsets of groups of both", async () => {
    await create("s", 2)
    const client = await RawClient.connect(server.kafkaPort)
    for (const [groupId, committedOffset] of [
      ["near", 3],
      ["far", 5]
    ] as const) {
      const partitions = [{ partitionIndex: 1, committedOffset, committedMetadata: null }]
      const commit = { groupId, generationIdOrMemberEpoch: -1, memberId: "", topics: [{ name: "s", partitions }] }
      const { topics } = await client.send(OffsetCommit, 8, commit)
      expect(topics[0]!.partitions[0]!.errorCode).toBe(0)
    }
    const groups = ["near", "far"].map((groupId) => ({ groupId, topics: [{ name: "s", partitionIndexes: [1] }] }))
    const answer = await client.send(OffsetFetch, 8, { groups, requireStable: false })
    expect(answer.groups.map(({ topics }) => topics[0]!.partitions[0]!.committedOffset)).toEqual([3, 5])

    const forgotten = () => Array.from(server.broker.shards.view(GroupStates).all(), ([id]) => id)
    expect(forgotten()).toEqual(["group/near", "group/far"])
    server.broker.shards.tell(catalogActor, { _tag: "DeleteStream", name: "s" }, { origin: "test" })
    await expect.poll(forgotten).toEqual([])
    await expect.poll(() => server.broker.shards.view(CatalogStates).get(catalogActor)?.deletions).toEqual([])
  })
})
