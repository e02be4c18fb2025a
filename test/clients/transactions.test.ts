import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { javaCopy } from "../support/java.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { pythonCopy } from "../support/python.ts"
import { ServerProcess } from "../support/server.ts"

/** Consumes, transforms (not at all) and produces in transactions. */
type Copy = (brokers: string, from: string, to: string, transactionalId: string, count: number) => Promise<string>

const copiers: ReadonlyArray<readonly [name: string, copy: Copy]> = [
  ["Java, version 2", javaCopy],
  ...["confluent", "confluent-2024"].map((packages): readonly [string, Copy] => [
    `librdkafka (${packages}), version 1`,
    (...args) => pythonCopy({ packages, program: "confluent.py" }, ...args)
  ])
]

const partitions = 3
const transactions = 12
/** Every third one is aborted. */
const isCommitted = (n: number): boolean => n % 3 !== 0
const committed = Array.from({ length: transactions }, (_, n) => n)
  .filter(isCommitted)
  .flatMap((n) => [`a${n}`, `b${n}`])
  .toSorted()

describe("transactions by real clients", () => {
  let server: ServerProcess

  const create = (topic: string): Promise<boolean> => {
    const admin = kafkajsOf(server.kafka).admin()
    return admin.createTopics({ topics: [{ topic, numPartitions: partitions }] }).finally(() => admin.disconnect())
  }

  /** What a reader of committed records gets, up to the count and a little longer. */
  const readCommitted = async (topic: string, count: number): Promise<ReadonlyArray<string>> => {
    const consumer = kafkajsOf(server.kafka).consumer({ groupId: `reads-${topic}`, readUncommitted: false })
    const seen: Array<string> = []
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(message.value!.toString()) })
    await expect.poll(() => seen.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(count)
    await new Promise((resolve) => setTimeout(resolve, 1000))
    await consumer.disconnect()
    return seen.toSorted()
  }

  /** Two records each, in two partitions. */
  const write = async (topic: string): Promise<void> => {
    const writer = { transactionalId: topic, idempotent: true, maxInFlightRequests: 1 }
    const producer = kafkajsOf(server.kafka).producer(writer)
    await producer.connect()
    for (let n = 0; n < transactions; n++) {
      const transaction = await producer.transaction()
      const messages = ["a", "b"].map((each, i) => ({ value: `${each}${n}`, partition: (n + i) % partitions }))
      await transaction.send({ topic, messages })
      await (isCommitted(n) ? transaction.commit() : transaction.abort())
    }
    await producer.disconnect()
  }

  beforeAll(async () => {
    server = await ServerProcess.start()
    await create("in")
    await write("in")
  })
  afterAll(() => server?.dispose())

  it("kafkajs writes them, and reads what was committed", async () => {
    expect(await readCommitted("in", committed.length)).toEqual(committed)
  })

  it.each(copiers)(
    "%s copies each record once, with an abort in between, and is fenced by the next",
    async (name, copy) => {
      const to = `to-${copiers.findIndex(([each]) => each === name)}`
      await create(to)
      expect(await copy(server.kafka, "in", to, `copies-${to}`, committed.length)).toBe("fenced")
      expect(await readCommitted(to, committed.length)).toEqual(committed)
    }
  )
})
