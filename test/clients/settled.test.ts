import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ApiVersions } from "@logbrook/protocols/kafka/messages/18_ApiVersions"
import * as RecordBatch from "@logbrook/core/RecordBatch"
import { connectAsync } from "mqtt"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { RawClient } from "../../packages/server/test/kafka/kit.ts"
import { fetchOf, only } from "../../packages/server/test/kafka/requests.ts"
import { javaRead } from "../support/java.ts"
import type { KafkaRecord } from "../support/kafkaRecord.ts"
import { kcatRead } from "../support/kcat.ts"
import { kafkajsRead, platformaticRead } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"

const stream = "sensors"
const messages = 6000
const payload = (n: number): string => `{"sensor":${n % 100},"value":${(n * 7919) % 1000},"n":${n}}`.padEnd(400)
const sent = Array.from({ length: messages }, (_, n) => payload(n))
const payloadBytes = messages * 400

/** Checks what was read; tells how many bytes of responses that took for a byte of payload. */
const readAll = async (server: ServerProcess, read: () => Promise<ReadonlyArray<KafkaRecord>>): Promise<number> => {
  const before = await server.metric("logbrook_kafka_sent_bytes_total")
  const records = await read()
  expect(records.map(({ value }) => value!.toString()).sort()).toEqual(sent.toSorted())
  return ((await server.metric("logbrook_kafka_sent_bytes_total")) - before) / payloadBytes
}

/** The codecs of the batches that a client of this software gets from the beginning. */
const codecsOf = async (server: ServerProcess, software: string | undefined, version: number) => {
  const client = await RawClient.connect(server.ports.kafka)
  if (software !== undefined) {
    await client.send(ApiVersions, 3, { clientSoftwareName: software, clientSoftwareVersion: "1.0" })
  }
  const { records } = only(await client.send(Fetch, version, fetchOf(stream)))
  client.socket.destroy()
  const codecs = new Set<string>()
  RecordBatch.batchesOf(records!, (at, length) =>
    codecs.add(RecordBatch.compression(records!.subarray(at, at + length)) ?? "unknown")
  )
  return [...codecs]
}

describe("settled records, which the server has compressed", () => {
  let server: ServerProcess

  beforeAll(async () => {
    const env = { LOGBROOK_JOURNAL_SEGMENT_BYTES: "500KB" }
    server = await ServerProcess.start({ env })
    await server.createStream(stream, { filters: ["sensors/#"], partitions: 1 })
    const client = await connectAsync(server.mqttUrl)
    for (let n = 0; n < messages; n += 200) {
      const some = sent.slice(n, n + 200)
      await Promise.all(some.map((text, i) => client.publishAsync(`sensors/${i}`, text, { qos: 1 })))
    }
    await client.endAsync()
    await server.settled(3)
  })
  afterAll(() => server?.dispose())

  it("go out compressed to software that has zstd, from Fetch 10 on, and to nobody else", async () => {
    expect(await codecsOf(server, "apache-kafka-java", 11)).toContain("zstd")
    expect(await codecsOf(server, "kgo", 12)).toContain("zstd")
    expect(await codecsOf(server, "apache-kafka-java", 9)).toEqual(["none"])
    expect(await codecsOf(server, "librdkafka", 11)).toEqual(["none"])
    expect(await codecsOf(server, undefined, 11)).toEqual(["none"])
  })

  it("are read by every client: Java gets them compressed, the others do not ask in a way that tells", async () => {
    expect(await readAll(server, () => javaRead(server.kafka, stream))).toBeLessThan(0.7)
    expect(await readAll(server, () => kafkajsRead(server.kafka, stream, messages))).toBeGreaterThan(1)
    expect(await readAll(server, () => platformaticRead(server.kafka, stream, messages))).toBeGreaterThan(1)
    expect(await readAll(server, () => kcatRead(server.kafka, stream))).toBeGreaterThan(1)
  })

  it("go out compressed to librdkafka once it is named, and to Java no more", async () => {
    server.env = { ...server.env, LOGBROOK_KAFKA_ZSTD_CLIENTS: "librdkafka" }
    expect(await server.stop()).toBe(0)
    await server.start()
    expect(await readAll(server, () => kcatRead(server.kafka, stream))).toBeLessThan(0.7)
    expect(await readAll(server, () => javaRead(server.kafka, stream))).toBeGreaterThan(1)
  })
})
