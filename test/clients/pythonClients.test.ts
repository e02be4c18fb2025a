import { Producer, ProduceAcks } from "@platformatic/kafka"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  pythonGroup,
  pythonProduce,
  pythonRead,
  pythonTopics,
  type PythonClient,
  type PythonRecord
} from "../support/python.ts"
import { ServerProcess } from "../support/server.ts"

interface Client extends PythonClient {
  readonly name: string
  readonly codecs: ReadonlyArray<string>
}

const all = ["none", "gzip", "zstd"]

const clients: ReadonlyArray<Client> = [
  { name: "confluent-kafka", packages: "confluent", program: "confluent.py", codecs: all },
  { name: "confluent-kafka of 2024", packages: "confluent-2024", program: "confluent.py", codecs: all },
  { name: "kafka-python", packages: "kafka-python", program: "kafkapython.py", codecs: all },
  // It produces with version 7 of Produce, and so no zstd.
  { name: "kafka-python 2.0.2", packages: "kafka-python-2.0.2", program: "kafkapython.py", codecs: ["none", "gzip"] },
  { name: "aiokafka", packages: "aiokafka", program: "aio.py", codecs: all }
]

const count = 300
const partitions = 3
const records = Array.from({ length: count }, (_, n) => ({
  key: Buffer.from(`key-${n}`),
  value: n % 50 === 0 ? null : Buffer.from(`${n} `.repeat(n))
}))

const textOf = ({ key, value }: Pick<PythonRecord, "key" | "value">): string =>
  `${key?.toString("utf8")}=${value?.toString("utf8") ?? "null"}`

/** Every record once, byte for byte, whatever partition each went to. */
const expectSame = (
  found: ReadonlyArray<PythonRecord>,
  written: ReadonlyArray<Pick<PythonRecord, "key" | "value">>
): void => {
  expect(found.map(textOf).toSorted()).toEqual(written.map(textOf).toSorted())
  const places = found.map(({ topic, partition, offset }) => `${topic}-${partition}@${offset}`)
  expect(new Set(places).size).toBe(found.length)
}

describe("client libraries of Python", () => {
  let server: ServerProcess

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream("sensors", { filters: ["s/#"] })
    await server.createStream("mixed")
    // A plain batch, and one of zstd behind it.
    const producer = new Producer({ clientId: "mixed", bootstrapBrokers: [server.kafka] })
    for (const compression of ["none", "zstd"] as const) {
      const messages = [1, 2, 3].map((n) => ({
        topic: "mixed",
        key: Buffer.from(compression),
        value: Buffer.from(`${n}`)
      }))
      await producer.send({ messages, acks: ProduceAcks.ALL, compression })
    }
    await producer.close()
  })
  afterAll(() => server?.dispose())

  describe.each(clients)("$name", (client) => {
    const { packages, codecs } = client

    it("lists the topics", async () => {
      expect(await pythonTopics(client, server.kafka)).toEqual(expect.arrayContaining(["sensors", "mixed"]))
    })

    it.each(codecs)("writes and reads, compressed: %s", async (codec) => {
      const topic = `${packages}.${codec}`
      await server.createStream(topic, { partitions })
      await pythonProduce(client, server.kafka, topic, codec, records)
      expectSame(await pythonRead(client, server.kafka, topic, count), records)
    })

    it("subscribes by a pattern, and gets the partitions of every topic that fits", async () => {
      const topics = [`by-pattern.${packages}.one`, `by-pattern.${packages}.two`]
      for (const topic of topics) {
        await server.createStream(topic, { partitions })
        await pythonProduce(client, server.kafka, topic, "none", records)
      }
      const pattern = `^by-pattern\\.${packages}\\..*`
      const found = await pythonGroup(client, server.kafka, pattern, `pattern-${packages}`, 2 * count)
      for (const topic of topics)
        expectSame(
          found.filter((each) => each.topic === topic),
          records
        )
    })

    it("goes on in a group where it has committed", async () => {
      const topic = `grouped.${packages}`
      await server.createStream(topic, { partitions })
      await pythonProduce(client, server.kafka, topic, "none", records)
      const first = await pythonGroup(client, server.kafka, topic, topic, 100)
      const second = await pythonGroup(client, server.kafka, topic, topic, count - 100)
      expectSame([...first, ...second], records)
    })

    it("reads a partition with a plain batch and one of zstd", async () => {
      const found = await pythonRead(client, server.kafka, "mixed", 6)
      expect(found.map(textOf)).toEqual(["none=1", "none=2", "none=3", "zstd=1", "zstd=2", "zstd=3"])
    })
  })
})
