import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { decodeResponseHeader } from "@logbrook/protocols/kafka/Header"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import type { Limits } from "@logbrook/core/Limits"
import { afterEach, describe, expect, it } from "vitest"
import { registry } from "../../src/kafka/handlers.ts"
import { batchOf, startKit, until, type Kit, type KitOptions, type RawClient } from "./kit.ts"
import { fetchOf, only, produceOf } from "./requests.ts"

let kit: Kit

const start = async (limits: Partial<Limits> = {}, options: KitOptions = {}): Promise<RawClient> => {
  kit = await startKit({ limits, ...options })
  await kit.createStream("orders")
  return kit.connect()
}

afterEach(async () => {
  await kit.close()
  expect(kit.defects).toEqual([])
})

const correlationIds = (client: RawClient) => client.responses.map((response) => Buffer.from(response).readInt32BE(0))
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const inFlightBytes = () => Number(/logbrook_kafka_in_flight_bytes (\d+)/.exec(kit.broker.metrics.render())![1])

const sentBytes = () => Number(/logbrook_kafka_sent_bytes_total (\d+)/.exec(kit.broker.metrics.render())![1])

const answered = (api: string) =>
  Number(
    new RegExp(`logbrook_kafka_requests_total\\{[^}]*api="${api}"[^}]*\\} (\\d+)`).exec(
      kit.broker.metrics.render()
    )?.[1] ?? 0
  )

const whole = fetchOf("orders", { maxBytes: 16 * 1024 * 1024, partitionMaxBytes: 16 * 1024 * 1024 })

const bytesOf = async (from: RawClient) => only(await from.send(Fetch, 11, whole)).records!.length

const long = (from: RawClient) => from.requestOf(Produce, 9, produceOf("orders", batchOf(["x".repeat(600_000)])))

const fill = async (client: RawClient, batches: number, bytes: number): Promise<void> => {
  for (let i = 0; i < batches; i++) {
    const { responses } = await client.send(Produce, 9, produceOf("orders", batchOf(["x".repeat(bytes)])))
    expect(responses[0]!.partitionResponses[0]!.errorCode).toBe(0)
  }
}

describe("ApiVersions", () => {
  it("lists what is served under a v0 header (trap 1)", async () => {
    const client = await start()
    const software = { clientSoftwareName: "raw", clientSoftwareVersion: "1.0" }
    for (let version = 0; version <= 4; version++) {
      const answer = await client.send(ApiVersions, version, software)
      expect(answer.errorCode).toBe(0)
      expect(answer.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion])).toEqual(
        registry.listed.map(({ key, min, max }) => [key, min, max])
      )
    }
  })

  it("answers an unknown version with error 35 in a v0 body that lists its own range (traps 2, 3)", async () => {
    const client = await start()
    const request = Buffer.from("0012000500000007000372617700", "hex")
    client.write(Buffer.concat([Buffer.from([0, 0, 0, request.length]), request]))
    await until(() => client.responses.length === 1)
    const [response] = client.responses
    expect(decodeResponseHeader(response!, ApiVersions, 0)).toEqual({ correlationId: 7, bodyOffset: 4 })
    const { errorCode, apiKeys } = ApiVersions.decodeResponse(response!, 0, 4)
    expect(errorCode).toBe(KafkaError.UNSUPPORTED_VERSION)
    expect(apiKeys).toEqual([{ apiKey: 18, minVersion: 0, maxVersion: 4 }])
    expect((await client.send(ApiVersions, 0, {})).errorCode).toBe(0)
  })

  it("refuses names that no client has", async () => {
    const client = await start()
    const software = { clientSoftwareName: "<script>", clientSoftwareVersion: "1" }
    expect((await client.send(ApiVersions, 3, software)).errorCode).toBe(KafkaError.INVALID_REQUEST)
  })
})

describe("a connection", () => {
  it("answers in the order of the requests, whatever finishes first (trap 13)", async () => {
    const client = await start()
    const requests = [
      client.requestOf(Fetch, 11, fetchOf("orders", { maxWaitMs: 100 })),
      client.requestOf(ApiVersions, 0, {}),
      client.requestOf(Produce, 9, produceOf("orders", batchOf(["a"]))),
      client.requestOf(Metadata, 1, { topics: null })
    ]
    client.write(Buffer.concat(requests))
    await until(() => client.responses.length === 4)
    expect(correlationIds(client)).toEqual([1, 2, 3, 4])
  })

  it("answers requests cut at every byte", async () => {
    const client = await start()
    const bytes = Buffer.concat([
      client.requestOf(ApiVersions, 0, {}),
      client.requestOf(FindCoordinator, 3, { key: "g" })
    ])
    client.socket.setNoDelay(true)
    for (const byte of bytes) {
      client.write(Buffer.of(byte))
      await pause(0)
    }
    await until(() => client.responses.length === 2)
    expect(correlationIds(client)).toEqual([1, 2])
  })

  it("begins five requests at most, and reads no further", async () => {
    const client = await start()
    let begun = 0
    const { shard } = kit
    const offer = shard.offer.bind(shard)
    shard.offer = (ask) => {
      begun++
      return offer(ask)
    }
    const wait = client.requestOf(Fetch, 11, fetchOf("orders", { maxWaitMs: 1500, minBytes: 10_000 }))
    const produce = Array.from({ length: 30 }, () => client.requestOf(Produce, 9, produceOf("orders", batchOf(["a"]))))
    client.write(Buffer.concat([wait, ...produce]))
    await until(() => begun === 4)
    await pause(80)
    expect(begun).toBe(4)
    await until(() => client.responses.length === 31)
    expect(correlationIds(client)).toEqual(Array.from({ length: 31 }, (_, i) => i + 1))
  })

  it("answers what came whole in front of a request that is none", async () => {
    const client = await start()
    const wait = client.requestOf(Fetch, 11, fetchOf("orders", { maxWaitMs: 50, minBytes: 10_000 }))
    const asks = Array.from({ length: 20 }, () => client.requestOf(ApiVersions, 0, {}))
    client.write(Buffer.concat([wait, ...asks, Buffer.from("ffffffff", "hex")]))
    await client.closed()
    expect(correlationIds(client)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1))
    await until(() => inFlightBytes() === 0)
  })

  it("lets others in between when a client sends a thousand small requests at once", async () => {
    const flood = await start()
    const other = await kit.connect()
    await other.send(ApiVersions, 0, {})
    flood.write(Buffer.concat(Array.from({ length: 4000 }, () => flood.requestOf(Metadata, 1, { topics: null }))))
    await until(() => flood.responses.length > 0)
    await other.send(ApiVersions, 0, {})
    expect(flood.responses.length).toBeLessThan(1000)
    await until(() => flood.responses.length === 4000)
  })

  it("answers a few hundred small requests of a client that does not read, and closes on it after a while", async () => {
    const client = await start({ slowConsumerStallMs: 300, slowConsumerUnsentBytesMax: 1024 ** 3 })
    // Until the kernel's buffers are full.
    client.socket.pause()
    const burst = Buffer.concat(Array.from({ length: 5000 }, () => client.requestOf(ApiVersions, 0, {})))
    let before = -1
    while (sentBytes() > before && client.socket.writableLength < 4 * burst.length) {
      before = sentBytes()
      client.write(burst)
      await pause(100)
    }
    await until(() => kit.lines.at(-1)?.fields["reason"] === "responses are not read")
  })

  it("reads one large request at a time when there is no room, and small ones always", async () => {
    const client = await start({ kafkaInFlightBytesMax: 100_000, recordBatchBytesMax: 1_000_000 })
    const others = [await kit.connect(), await kit.connect()]
    const held = long(client)
    client.write(held.subarray(0, 500_000))
    await until(() => inFlightBytes() === 500_000)
    for (const other of others) other.write(long(other))
    await pause(60)
    // What is read of the others is no more than what is small, and the read that went over it.
    expect(inFlightBytes()).toBeLessThan(500_000 + 2 * 2 * 64 * 1024 + 1)
    const small = await kit.connect()
    expect((await small.send(ApiVersions, 0, {})).errorCode).toBe(0)
    client.write(held.subarray(500_000))
    for (const each of [client, ...others]) await until(() => each.responses.length === 1)
    expect(inFlightBytes()).toBe(0)
  })

  it("waits for a full shard, and loses nothing", async () => {
    const client = await start({ inboxCommandsMax: 2 })
    await Promise.all(Array.from({ length: 40 }, () => client.send(Produce, 9, produceOf("orders", batchOf(["a"])))))
    const { records, highWatermark } = only(await client.send(Fetch, 11, fetchOf("orders")))
    expect([highWatermark, records!.length > 0]).toEqual([40, true])
  })

  it("closes when a request is not completed in time, not before", async () => {
    const client = await start({ frameStallMs: 1200 })
    client.write(client.requestOf(ApiVersions, 0, {}).subarray(0, 9))
    const closedAfterMs = await client.closed()
    expect(closedAfterMs).toBeGreaterThan(1000)
    expect(kit.lines.filter(({ level }) => level === "warn")).toHaveLength(1)
  })

  it("closes on a client that does not read, and serves the others meanwhile", async () => {
    const limits = { slowConsumerUnsentBytesMax: 64 * 1024, slowConsumerStallMs: 1200 }
    const client = await start(limits)
    await fill(client, 16, 900_000)
    const slow = await kit.connect()
    slow.socket.pause()
    for (let i = 0; i < 3; i++) slow.write(slow.requestOf(Fetch, 11, whole))
    await pause(300)
    expect((await client.send(ApiVersions, 0, {})).errorCode).toBe(0)
    await expect.poll(() => kit.lines.some(({ fields }) => fields["reason"] === "responses are not read")).toBe(true)
    expect((await client.send(Fetch, 11, whole)).responses).toHaveLength(1)
  })

  it("counts answers that wait for one before them, and begins no more behind large ones", async () => {
    const client = await start({ kafkaInFlightBytesMax: 4_000_000, slowConsumerStallMs: 300 })
    await kit.createStream("idle")
    await fill(client, 4, 900_000)
    const ahead = await kit.connect()
    const wait = ahead.requestOf(Fetch, 11, fetchOf("idle", { maxWaitMs: 1500 }))
    ahead.write(Buffer.concat([wait, ...Array.from({ length: 4 }, () => ahead.requestOf(Fetch, 11, whole))]))
    await until(() => answered("Fetch") > 0)
    await pause(50)
    expect(answered("Fetch")).toBe(1)
    expect(await bytesOf(client)).toBeLessThan(1_000_000)
    // It reads all that is sent; only the order of the answers holds them.
    await expect.poll(() => ahead.responses.length).toBe(5)
    expect(await bytesOf(client)).toBeGreaterThan(3_600_000)
  })

  it("counts no answers of a client that has gone", async () => {
    const client = await start({ kafkaInFlightBytesMax: 4_000_000, slowConsumerUnsentBytesMax: 16 * 1024 * 1024 })
    await kit.createStream("idle")
    await fill(client, 4, 900_000)
    const wait = client.requestOf(Fetch, 11, fetchOf("idle", { maxWaitMs: 20_000 }))
    client.write(Buffer.concat([wait, client.requestOf(Fetch, 11, whole)]))
    await until(() => answered("Fetch") > 0)
    const other = await kit.connect()
    expect(await bytesOf(other)).toBeLessThan(1_000_000)
    client.socket.destroy()
    await expect.poll(() => bytesOf(other)).toBeGreaterThan(3_600_000)
  })

  it("sends large responses whole to a client that reads slowly", async () => {
    const client = await start()
    await fill(client, 10, 900_000)
    const answer = client.send(Fetch, 11, whole)
    for (let i = 0; i < 5; i++) {
      client.socket.pause()
      await pause(20)
      client.socket.resume()
      await pause(1)
    }
    expect(only(await answer).records!.length).toBeGreaterThan(9_000_000)
  })

  it("is refused when there are too many from one address", async () => {
    const client = await start({ connectionsPerAddressMax: 2 })
    await kit.connect()
    const third = await kit.connect()
    await third.closed()
    expect((await client.send(ApiVersions, 0, {})).errorCode).toBe(0)
    client.socket.destroy()
    await until(() => kit.broker.gate.open === 1)
    const fourth = await kit.connect()
    expect((await fourth.send(ApiVersions, 0, {})).errorCode).toBe(0)
  })

  it("counts requests, errors, bytes and durations", async () => {
    const client = await start()
    await client.send(Produce, 9, produceOf("nowhere", batchOf(["a"])))
    const text = kit.broker.metrics.render()
    expect(text).toContain('logbrook_kafka_requests_total{api="Produce",error="UNKNOWN_TOPIC_OR_PARTITION"} 1')
    expect(text).toContain('logbrook_kafka_request_duration_seconds_count{api="Produce"} 1')
    expect(text).toContain("logbrook_kafka_connections 1")
    expect(text).toContain("logbrook_kafka_in_flight_bytes 0")
    expect(text).toMatch(/logbrook_kafka_received_bytes_total \d\d/)
    expect(text).toMatch(/logbrook_kafka_sent_bytes_total \d\d/)
  })
})

describe("the end of the server", () => {
  it("answers what was offered and gives up fetches that wait", async () => {
    const client = await start()
    const other = await kit.connect()
    other.write(other.requestOf(Fetch, 11, fetchOf("orders", { maxWaitMs: 20_000, minBytes: 100_000 })))
    await client.send(ApiVersions, 0, {})
    client.write(client.requestOf(Produce, 9, produceOf("orders", batchOf(["a"]))))
    await until(() => kit.shard.waiting > 0 || client.responses.length === 2)
    const startedMs = Date.now()
    await kit.listener.close()
    expect(Date.now() - startedMs).toBeLessThan(15_000)
    await Promise.all([client.closed(), other.closed()])
    expect(client.responses).toHaveLength(2)
    expect(kit.broker.gate.open).toBe(0)
    const restarted = await startKit()
    await kit.shard.drained()
    kit = restarted
  })
})

const produced = (from: RawClient): Buffer => {
  const requests = Array.from({ length: 4 }, (_, i) =>
    from.requestOf(Produce, 9, produceOf("orders", batchOf([`${i}`])))
  )
  return Buffer.concat(requests)
}

describe("an end of the connection", () => {
  const badRequests = {
    "a length below none": Buffer.from([0x80, 0, 0, 0]),
    "an API that there is not": Buffer.from([0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 9, 0, 0])
  }

  for (const [name, bad] of Object.entries(badRequests)) {
    it(`by ${name} comes behind the answers to what stands before it, whole and byte by byte`, async () => {
      const client = await start()
      client.write(Buffer.concat([produced(client), bad]))
      await client.closed()
      expect(correlationIds(client)).toEqual([1, 2, 3, 4])
      const slow = await kit.connect()
      slow.socket.setNoDelay(true)
      for (const byte of Buffer.concat([produced(slow), bad])) {
        slow.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await slow.closed()
      expect(correlationIds(slow)).toEqual([1, 2, 3, 4])
    })
  }

  it("by the client itself comes behind the answers as well; a fetch that waits for records is given up", async () => {
    const client = await start()
    client.socket.allowHalfOpen = true
    const ended = new Promise((resolve) => client.socket.once("end", resolve))
    client.socket.end(produced(client))
    await ended
    expect(correlationIds(client)).toEqual([1, 2, 3, 4])
    const waiting = await kit.connect()
    waiting.write(waiting.requestOf(Fetch, 11, fetchOf("orders", { offset: 4, maxWaitMs: 30_000 })))
    await until(() => inFlightBytes() > 0)
    waiting.socket.end()
    await waiting.closed()
    expect(waiting.responses).toEqual([])
  })

  it("loses no answer that stands behind a fetch that waits for records: that is answered with what it has", async () => {
    const client = await start({ fetchWaitMsMax: 600_000 })
    client.socket.allowHalfOpen = true
    const ended = new Promise((resolve) => client.socket.once("end", resolve))
    const waiting = client.requestOf(Fetch, 11, fetchOf("orders", { minBytes: 1_000_000, maxWaitMs: 600_000 }))
    const behind = client.requestOf(Produce, 9, produceOf("orders", batchOf(["0"])))
    client.socket.end(Buffer.concat([waiting, behind]))
    await ended
    expect(correlationIds(client)).toEqual([1, 2])
  })

  it("behind what the client still sends loses no answer", async () => {
    const client = await start()
    client.socket.pause()
    client.write(Buffer.concat([produced(client), badRequests["a length below none"]]))
    // More than the buffers of both sides hold, while nobody reads.
    for (let i = 0; i < 40; i++) {
      client.write(Buffer.alloc(256 * 1024))
      await pause(5)
    }
    client.socket.resume()
    await client.closed()
    expect(correlationIds(client)).toEqual([1, 2, 3, 4])
  })
})
