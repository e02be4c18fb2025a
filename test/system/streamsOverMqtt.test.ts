import mqtt, { type MqttClient } from "mqtt"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { KafkaRecord } from "../support/kafkaRecord.ts"
import { inOrder } from "../support/kafkaRecord.ts"
import { kafkajsRead } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

// What MQTT clients read of a stream is what a Kafka client reads of it, from every kind of start, and across kills of the server.
// `LOGBROOK_STREAM_RECORDS=1000000` does it with a million records instead of 20,000.

const stream = "readings"
const devices = 40
const batchCount = 100
const wantedRecords = Number(process.env["LOGBROOK_STREAM_RECORDS"] ?? 20_000)
const perDevice = batchCount * Math.ceil(wantedRecords / devices / batchCount)
const total = devices * perDevice
/** Many records take as many times longer than 100,000. */
const slowness = Math.max(1, total / 100_000)
const partitions = 16
const filter = "plant/1/#"

interface Read {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** Once the client has got so many, and what would come beyond them is on its way as well: an answer that takes a commit is behind it. */
const awaitAll = async (client: MqttClient, count: () => number, expected: number): Promise<void> => {
  await waitUntil("the stream's records", slowness * 60_000, () => count() >= expected)
  await client.subscribeAsync("elsewhere")
}

const publishAll = async (url: string): Promise<void> => {
  await Promise.all(
    Array.from({ length: devices }, async (_, device) => {
      const client = await mqtt.connectAsync(url, { clientId: `device-${device}`, protocolVersion: 5 })
      const topic = `plant/${device % 4}/${device}`
      for (let n = 0; n < perDevice; n += batchCount) {
        const batch = Array.from({ length: batchCount }, (_, i) =>
          client.publishAsync(topic, `${device} ${n + i}`, { qos: 1 })
        )
        await Promise.all(batch)
      }
      await client.endAsync()
    })
  )
}

/** All that a subscription which ends at now delivers: of MQTT 5 with its places, of 3.1.1 the values alone. */
const read5 = async (
  url: string,
  own: string,
  properties: Record<string, string>,
  expected: number
): Promise<Array<Read>> => {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5 })
  const got: Array<Read> = []
  client.on("message", (_topic, payload, { properties }) => {
    const { partition, offset } = properties!.userProperties as Record<string, string>
    got.push({ partition: Number(partition), offset: Number(offset), value: payload.toString() })
  })
  await client.subscribeAsync(own, { qos: 1, properties: { userProperties: { "stream-until": "now", ...properties } } })
  await awaitAll(client, () => got.length, expected)
  await client.endAsync()
  return got
}

const read311 = async (url: string, own: string, expected: number): Promise<ReadonlyArray<string>> => {
  const client = await mqtt.connectAsync(url, { protocolVersion: 4 })
  const got: Array<string> = []
  client.on("message", (_topic, payload) => void got.push(payload.toString()))
  await client.subscribeAsync(own, { qos: 1 })
  await awaitAll(client, () => got.length, expected)
  await client.endAsync()
  return got
}

const valuesOf = (records: ReadonlyArray<{ readonly value: unknown }>): ReadonlyArray<string> =>
  records.map(({ value }) => String(value))

/** Each device's messages lie in one partition, so the order of a partition is that of its devices. */
const byDevice = (values: ReadonlyArray<string>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const devices = new Map<string, Array<number>>()
  for (const value of values) {
    const [device, n] = value.split(" ")
    const own = devices.get(device!)
    if (own === undefined) devices.set(device!, [Number(n)])
    else own.push(Number(n))
  }
  return new Map([...devices].sort(([a], [b]) => Number(a) - Number(b)))
}

describe("streams over MQTT", { timeout: slowness * 240_000 }, () => {
  let server: ServerProcess
  let records: ReadonlyArray<KafkaRecord>
  /** As a reader over MQTT gets them: the oldest first, of equal times the lower partition's. */
  let merged: ReadonlyArray<KafkaRecord>

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream(stream, { filters: ["plant/#"], partitions })
    await publishAll(server.mqttUrl)
    records = inOrder(await kafkajsRead(server.kafka, stream, total))
    merged = records.toSorted(
      (a, b) => a.timestampMs - b.timestampMs || a.partition - b.partition || a.offset - b.offset
    )
  }, slowness * 240_000)
  afterAll(() => server.dispose())

  const starts = (): ReadonlyArray<readonly [start: string, expected: ReadonlyArray<KafkaRecord>]> => {
    const middleMs = merged[total / 2]!.timestampMs
    const since = merged.filter(({ timestampMs }) => timestampMs >= middleMs)
    const [first] = records
    return [
      ["earliest", merged],
      ["0", merged],
      ["-1h", merged],
      [String(middleMs * 1000), since],
      [new Date(middleMs).toISOString(), since],
      ["last:777", merged.slice(-777)],
      [
        `offset:${first!.partition}:9`,
        merged.filter(({ partition, offset }) => partition === first!.partition && offset >= 9)
      ],
      ["latest", []]
    ]
  }

  it("have what a Kafka client reads, from every kind of start: MQTT 5", async () => {
    for (const [start, expected] of starts()) {
      const own = await read5(server.mqttUrl, `$stream/${stream}`, { "stream-offset": start }, expected.length)
      const wanted = expected.map(({ partition, offset, value }) => ({ partition, offset, value: String(value) }))
      expect(own, start).toEqual(wanted)
    }
  })

  it("have what a Kafka client reads, from every kind of start: MQTT 3.1.1, by a narrower filter", async () => {
    for (const [start, expected] of starts()) {
      const wanted = valuesOf(expected).filter((value) => Number(value.split(" ")[0]) % 4 === 1)
      const own = `$stream/${stream}?from=${encodeURIComponent(start)}&until=now/${filter}`
      const got = await read311(server.mqttUrl, own, wanted.length)
      expect(got, start).toHaveLength(wanted.length)
      expect(byDevice(got), start).toEqual(byDevice(wanted))
    }
  })

  it.each([
    ["earliest", total],
    ["latest", 0],
    [String(Date.now() * 1000 - 3_600_000_000), total]
  ] as const)("take EMQX's own lines: stream-offset %s", async (start, count) => {
    const client = await mqtt.connectAsync(server.mqttUrl, { protocolVersion: 5 })
    let got = 0
    client.on("message", () => void got++)
    await client.subscribeAsync(`$stream/${stream}`, {
      qos: 1,
      properties: { userProperties: { "stream-offset": start } }
    })
    await awaitAll(client, () => got, count)
    await client.endAsync()
    expect(got).toBe(count)
  })

  it.each([1, 2] as const)("lose nothing for a durable reader while the server is killed: QoS %i", async (qos) => {
    const counts = new Map<string, number>()
    const last = new Map<number, number>()
    const wrong: Array<string> = []
    const client: MqttClient = mqtt.connect(server.mqttUrl, {
      clientId: `durable-${qos}`,
      protocolVersion: 5,
      clean: false,
      reconnectPeriod: 50,
      properties: { sessionExpiryInterval: 3600, receiveMaximum: 50 }
    })
    client.on("error", () => undefined)
    client.on("connect", () => {
      const properties = { userProperties: { "stream-offset": "earliest" } }
      client.subscribe(`$stream/${stream}`, { qos, properties }, () => undefined)
      last.clear()
    })
    client.on("message", (_topic, _payload, { properties }) => {
      const { partition, offset } = properties!.userProperties as Record<string, string>
      const place = `${partition}:${offset}`
      counts.set(place, (counts.get(place) ?? 0) + 1)
      if (qos === 2 && counts.get(place)! > 1) wrong.push(`${place} twice`)
      const before = last.get(Number(partition)) ?? -1
      if (Number(offset) <= before) wrong.push(`${place} behind ${before}`)
      last.set(Number(partition), Number(offset))
    })
    for (let kill = 0, at = 0; kill < 5 && counts.size < total; kill++) {
      at = counts.size + 1500
      await waitUntil("records before the kill", 60_000, () => counts.size >= Math.min(at, total))
      await server.kill()
      await server.start()
    }
    await waitUntil("all records", slowness * 120_000, () => counts.size >= total)
    await client.endAsync(true)
    expect(counts.size).toBe(total)
    expect(wrong).toEqual([])
  })

  it.each([1, 2] as const)("go to three who share them, over kills and absences, each once: QoS %i", async (qos) => {
    const counts = new Map<string, number>()
    const takers = new Set<number>()
    const members = [0, 1, 2].map((each) => {
      // A clean session's records of QoS 2 go with it: for once and no more all have to be durable.
      const isClean = qos === 1 && each === 0
      const member = mqtt.connect(server.mqttUrl, {
        clientId: `member-${qos}-${each}`,
        protocolVersion: 5,
        clean: isClean,
        reconnectPeriod: 50,
        properties: { sessionExpiryInterval: isClean ? 0 : 3600, receiveMaximum: 50 }
      })
      member.on("error", () => undefined)
      member.on("connect", () => {
        const properties = { userProperties: { "stream-offset": "earliest" } }
        member.subscribe(`$share/group-${qos}/$stream/${stream}`, { qos, properties }, () => undefined)
      })
      member.on("message", (_topic, _payload, { properties }) => {
        const { partition, offset } = properties!.userProperties as Record<string, string>
        const place = `${partition}:${offset}`
        counts.set(place, (counts.get(place) ?? 0) + 1)
        takers.add(each)
      })
      return member
    })
    for (let turn = 0, at = 0; turn < 12 && counts.size < total; turn++) {
      at = counts.size + 1000
      await waitUntil("records before the next one goes", 60_000, () => counts.size >= Math.min(at, total))
      if (turn % 4 === 3) {
        await server.kill()
        await server.start()
      } else members[turn % 3]!.stream.destroy()
    }
    await waitUntil("all records", slowness * 120_000, () => counts.size >= total)
    await Promise.all(members.map((member) => member.endAsync(true)))
    expect(counts.size).toBe(total)
    expect(takers.size).toBe(3)
    if (qos === 2) expect([...counts].filter(([, times]) => times > 1)).toEqual([])
  })
})
