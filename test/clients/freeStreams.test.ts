import { randomBytes } from "node:crypto"
import { inspect } from "node:util"
import { ProduceAcks, Producer, type CompressionAlgorithmValue } from "@platformatic/kafka"
import { CompressionTypes } from "kafkajs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { javaProduce, javaRead } from "../support/java.ts"
import { inOrder, type KafkaRecord } from "../support/kafkaRecord.ts"
import { kcatProduce, kcatRead } from "../support/kcat.ts"
import { kafkajsOf, kafkajsRead, platformaticRead } from "../support/nodeReaders.ts"
import { runCommand } from "../support/runCommand.ts"
import { ServerProcess } from "../support/server.ts"

interface Plain {
  readonly key: Buffer
  readonly value: Buffer
}

const count = 600
const partitions = 3
const bound = "bound"

/** From empty to 9 kB, compressible and not, so that batches go both ways through the store. */
const records = (value: (n: number, bytes: number) => Buffer): ReadonlyArray<Plain> =>
  Array.from({ length: count }, (_, n) => ({ key: Buffer.from(`key-${n}`), value: value(n, (n * 37) % 9000) }))

/** kcat reads lines. */
const lines = records((n, bytes) => Buffer.from(`${n} zäh ${randomBytes(Math.ceil(bytes / 2)).toString("hex")}`))
const anyBytes = records((n, bytes) => (n % 2 === 0 ? randomBytes(bytes) : Buffer.alloc(bytes, n)))

interface Writer {
  readonly name: string
  readonly compressions: ReadonlyArray<string>
  readonly records: ReadonlyArray<Plain>
  readonly write: (brokers: string, stream: string, compression: string, records: ReadonlyArray<Plain>) => Promise<void>
}

const writers: ReadonlyArray<Writer> = [
  {
    name: "kcat",
    compressions: ["none", "gzip", "snappy", "lz4", "zstd"],
    records: lines,
    write: async (brokers, stream, compression, all) => void (await kcatProduce(brokers, stream, compression, all))
  },
  {
    // Its other codecs are plugins.
    name: "kafkajs",
    compressions: ["none", "gzip"],
    records: anyBytes,
    write: async (brokers, stream, compression, all) => {
      const producer = kafkajsOf(brokers).producer({ idempotent: true, maxInFlightRequests: 1 })
      await producer.connect()
      const codec = compression === "gzip" ? CompressionTypes.GZIP : CompressionTypes.None
      for (let at = 0; at < all.length; at += 100) {
        await producer.send({ topic: stream, messages: all.slice(at, at + 100), compression: codec })
      }
      await producer.disconnect()
    }
  },
  {
    name: "@platformatic/kafka",
    compressions: ["none", "gzip", "snappy", "lz4", "zstd"],
    records: anyBytes,
    write: async (brokers, stream, compression, all) => {
      const producer = new Producer({ clientId: "platformatic", bootstrapBrokers: [brokers] })
      const codec = compression as CompressionAlgorithmValue
      for (let at = 0; at < all.length; at += 100) {
        const messages = all.slice(at, at + 100).map((each) => ({ topic: stream, ...each }))
        await producer.send({ messages, acks: ProduceAcks.ALL, compression: codec })
      }
      await producer.close()
    }
  },
  {
    name: "Java",
    compressions: ["none", "gzip", "snappy", "lz4", "zstd"],
    records: anyBytes,
    write: async (brokers, stream, compression, all) => {
      const { code, stdout, stderr } = await javaProduce(brokers, stream, compression, all)
      expect({ code, said: stdout.toString("utf8").trim() }, stderr).toEqual({
        code: 0,
        said: `${all.length} acknowledged`
      })
    }
  }
]

const streamOf = (writer: string, compression: string): string => `free.${writer.replace(/\W/g, "")}.${compression}`

/** Whatever partition each went to: dense offsets, every record once, byte for byte. */
const expectSame = (found: ReadonlyArray<KafkaRecord>, written: ReadonlyArray<Plain>): void => {
  expect(found.length).toBe(written.length)
  const next = new Map<number, number>()
  const byKey = new Map<string, Buffer>()
  for (const { partition, offset, key, value } of inOrder(found)) {
    expect(offset).toBe(next.get(partition) ?? 0)
    next.set(partition, offset + 1)
    byKey.set(key!.toString("utf8"), value ?? Buffer.alloc(0))
  }
  const different = written.filter(({ key, value }) => byKey.get(key.toString("utf8"))?.equals(value) !== true)
  expect(different.map(({ key }) => key.toString("utf8"))).toEqual([])
}

describe("streams written and read by Kafka clients", () => {
  let server: ServerProcess

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream(bound, { filters: ["bound/#"], partitions: 1 })
  })
  afterAll(() => server?.dispose())

  describe.each(writers)("written by $name", ({ name, compressions, records: written, write }) => {
    it.each(compressions)("compressed: %s", async (compression) => {
      const stream = streamOf(name, compression)
      await server.createStream(stream, { partitions })
      await write(server.kafka, stream, compression, written)
      expectSame(await kcatRead(server.kafka, stream), written)
      expectSame(await javaRead(server.kafka, stream), written)
      expectSame(await platformaticRead(server.kafka, stream, count), written)
      if (compression === "none" || compression === "gzip") {
        expectSame(await kafkajsRead(server.kafka, stream, count), written)
      }
    })
  })

  describe("a bound stream is not written by Kafka clients: each has its own words for error 29", () => {
    const one = [{ key: Buffer.from("k"), value: Buffer.from("v") }]

    it("kcat", async () => {
      const args = ["-P", "-b", server.kafka, "-t", bound, "-p", "0"]
      const { stderr } = await runCommand("kcat", args, { input: "v\n", timeoutMs: 30_000 })
      expect(stderr).toContain("Topic authorization failed")
    })
    it("kafkajs", async () => {
      const producer = kafkajsOf(server.kafka).producer()
      await producer.connect()
      await expect(producer.send({ topic: bound, messages: one })).rejects.toMatchObject({
        type: "TOPIC_AUTHORIZATION_FAILED"
      })
      await producer.disconnect()
    })
    it("@platformatic/kafka", async () => {
      const producer = new Producer({ clientId: "platformatic", bootstrapBrokers: [server.kafka], retries: 0 })
      const failure = await producer.send({ messages: [{ topic: bound, ...one[0]! }] }).then(
        () => undefined,
        (error: unknown) => error
      )
      await producer.close()
      expect(inspect(failure, { depth: 8 })).toContain("TOPIC_AUTHORIZATION_FAILED")
    })
    it("Java", async () => {
      const { code, stdout } = await javaProduce(server.kafka, bound, "none", one)
      expect(code).toBe(1)
      expect(stdout.toString("utf8")).toContain("TopicAuthorizationException")
    })
    it("and nothing is stored", async () => expect(await kcatRead(server.kafka, bound)).toEqual([]))
  })
})
