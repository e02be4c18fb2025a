import { createRequire } from "node:module"
import mqtt from "mqtt"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { consoleConsumerRead } from "../support/java.ts"
import { inOrder, type KafkaRecord } from "../support/kafkaRecord.ts"
import { kcatRead } from "../support/kcat.ts"
import { kafkajsRead, platformaticRead } from "../support/nodeReaders.ts"
import { outputOf } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"

const devices = 200
/** The last ones are mosquitto_pub, the others mqtt.js, of MQTT 3.1.1 and 5 by turns. */
const mosquittoDevices = 10
const total = process.env["LOGBROOK_FULL"] === "1" ? 200_000 : 40_000
const perDevice = total / devices
const partitions = 16
const stream = "readings"
/** Below the least Receive Maximum of the server. */
const unansweredMax = 100

const murmur2 = createRequire(import.meta.url)("kafkajs/src/producer/partitioners/default/murmur2.js") as (
  key: Buffer
) => number

const deviceName = (device: number): string => `device-${String(device).padStart(3, "0")}`
const topicOf = (device: number): string => `plant/${device % 7}/${deviceName(device)}/reading`
const payloadOf = (device: number, n: number): string => `${deviceName(device)} ${n} ${"x".repeat(n % 90)}`
const isMosquitto = (device: number): boolean => device >= devices - mosquittoDevices
const versionOf = (device: number): 4 | 5 => (!isMosquitto(device) && device % 2 === 1 ? 5 : 4)

/** What SEMANTICS says of a record's headers, for what these devices send. */
const headersOf = (device: number, n: number): ReadonlyArray<readonly [string, string]> => [
  ["mqtt.topic", topicOf(device)],
  ["mqtt.clientid", deviceName(device)],
  ["mqtt.qos", "1"],
  ["mqtt.retain", "0"],
  ...(versionOf(device) === 5
    ? ([
        ["n", String(n)],
        ["unit", "°C"],
        ["mqtt.content-type", "text/plain"]
      ] as const)
    : [])
]

const sorted = (headers: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> =>
  headers.map(([name, value]) => `${name}=${value}`).toSorted()

const publishByMqttJs = async (url: string, device: number): Promise<void> => {
  const protocolVersion = versionOf(device)
  const client = await mqtt.connectAsync(url, { clientId: deviceName(device), protocolVersion, reconnectPeriod: 0 })
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < perDevice) {
      const n = next++
      const properties =
        protocolVersion === 5
          ? { properties: { userProperties: { n: String(n), unit: "°C" }, contentType: "text/plain" } }
          : {}
      await client.publishAsync(topicOf(device), payloadOf(device, n), { qos: 1, ...properties })
    }
  }
  await Promise.all(Array.from({ length: unansweredMax }, lane))
  await client.endAsync()
}

const publishByMosquitto = async (port: number, device: number): Promise<void> => {
  const input = Array.from({ length: perDevice }, (_, n) => `${payloadOf(device, n)}\n`).join("")
  const args = ["-h", "127.0.0.1", "-p", String(port), "-i", deviceName(device), "-t", topicOf(device), "-q", "1", "-l"]
  await outputOf("mosquitto_pub", args, { input })
}

/** Everything that every reader must have seen, whatever client it is. */
const expectAll = (records: ReadonlyArray<KafkaRecord>, fromMs: number, untilMs: number): void => {
  expect(records.length).toBe(total)
  const nextOffset = new Map<number, number>()
  const lastTimestampMs = new Map<number, number>()
  const nextNumber = new Map<string, number>()
  const wrong: Array<string> = []
  for (const { partition, offset, timestampMs, key, value, headers } of inOrder(records)) {
    const [name, number] = value!.toString("utf8").split(" ") as [string, string]
    const [device, n] = [Number(name.slice("device-".length)), Number(number)]
    const place = `${partition}/${offset}`
    if (offset !== (nextOffset.get(partition) ?? 0)) wrong.push(`${place}: offsets are not dense`)
    if (n !== (nextNumber.get(name) ?? 0))
      wrong.push(`${place}: ${name} ${n} where ${nextNumber.get(name) ?? 0} was next`)
    if (key?.toString("utf8") !== name) wrong.push(`${place}: key ${key?.toString("utf8")}`)
    if (partition !== (murmur2(key!) & 0x7fff_ffff) % partitions) wrong.push(`${place}: not the partition of its key`)
    if (value!.toString("utf8") !== payloadOf(device, n)) wrong.push(`${place}: another payload`)
    if (timestampMs < (lastTimestampMs.get(partition) ?? fromMs) || timestampMs > untilMs)
      wrong.push(`${place}: time ${timestampMs}`)
    if (`${sorted(headers!)}` !== `${sorted(headersOf(device, n))}`) wrong.push(`${place}: headers ${sorted(headers!)}`)
    nextOffset.set(partition, offset + 1)
    lastTimestampMs.set(partition, timestampMs)
    nextNumber.set(name, n + 1)
  }
  expect(wrong.slice(0, 10)).toEqual([])
  expect(nextOffset.size).toBe(partitions)
  expect(nextNumber.size).toBe(devices)
  expect([...nextNumber.values()].every((n) => n === perDevice)).toBe(true)
}

describe(`${total} messages of ${devices} MQTT clients, read by Kafka clients`, () => {
  let server: ServerProcess
  let fromMs = 0
  let untilMs = 0

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream(stream, { filters: ["plant/+/+/reading"], partitions })
    fromMs = Date.now()
    await Promise.all(
      Array.from({ length: devices }, (_, device) =>
        isMosquitto(device) ? publishByMosquitto(server.ports.mqtt, device) : publishByMqttJs(server.mqttUrl, device)
      )
    )
    untilMs = Date.now()
  })
  afterAll(() => server?.dispose())

  it("kcat", async () => expectAll(await kcatRead(server.kafka, stream), fromMs, untilMs))
  it("kafkajs", async () => expectAll(await kafkajsRead(server.kafka, stream, total), fromMs, untilMs))
  it("@platformatic/kafka", async () => expectAll(await platformaticRead(server.kafka, stream, total), fromMs, untilMs))
  it("Java's console consumer", async () => {
    const output = await consoleConsumerRead(server.kafka, stream, total)
    expectAll(output, fromMs, untilMs)
  })
  it("and after a kill and a restart again", async () => {
    await server.kill()
    await server.start()
    expectAll(await kcatRead(server.kafka, stream), fromMs, untilMs)
  })
})
