import { Consumer } from "@platformatic/kafka"
import { Kafka, logLevel, type IHeaders, type RetryOptions } from "kafkajs"
import type { KafkaRecord } from "./kafkaRecord.ts"

const readTimeoutMs = 120_000

/** A group of its own for each read. */
let reads = 0
const ownGroup = (): string => `reader-${process.pid}-${++reads}`

export const kafkajsOf = (
  brokers: string,
  clientId = "kafkajs",
  retry: RetryOptions = { initialRetryTime: 50, retries: 8 }
): Kafka => new Kafka({ brokers: [brokers], clientId, logLevel: logLevel.NOTHING, retry })

/** kafkajs keeps names in the order of their first occurrence, and the values of a repeated one in a list. */
const kafkajsHeaders = (headers: IHeaders): ReadonlyArray<readonly [string, string]> =>
  Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((each) => [name, String(each ?? "")] as const)
  )

const withTimeout = <A>(what: string, work: Promise<A>): Promise<A> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what}: not within ${readTimeoutMs} ms`)), readTimeoutMs)
  return Promise.race([work, promise]).finally(() => clearTimeout(timer))
}

/** The first `count` records of a stream, as a group of one kafkajs consumer gets them. */
export const kafkajsRead = async (brokers: string, stream: string, count: number): Promise<Array<KafkaRecord>> => {
  const consumer = kafkajsOf(brokers).consumer({ groupId: ownGroup(), sessionTimeout: 30_000 })
  const records: Array<KafkaRecord> = []
  const { promise: all, resolve, reject } = Promise.withResolvers<void>()
  consumer.on("consumer.crash", ({ payload }) => reject(payload.error))
  await consumer.connect()
  await consumer.subscribe({ topic: stream, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      for (const { offset, timestamp, key, value, headers = {} } of batch.messages) {
        records.push({
          partition: batch.partition,
          offset: Number(offset),
          timestampMs: Number(timestamp),
          key,
          value,
          headers: kafkajsHeaders(headers)
        })
      }
      if (records.length >= count) resolve()
    }
  })
  try {
    await withTimeout(`kafkajs read ${count} of ${stream}`, all)
  } finally {
    await consumer.disconnect()
  }
  return records
}

/** The first `count` records of a stream, as a group of one @platformatic/kafka consumer gets them. */
export const platformaticRead = async (brokers: string, stream: string, count: number): Promise<Array<KafkaRecord>> => {
  const consumer = new Consumer({ groupId: ownGroup(), clientId: "platformatic", bootstrapBrokers: [brokers] })
  const records: Array<KafkaRecord> = []
  const messages = await consumer.consume({ topics: [stream], mode: "earliest", autocommit: false, maxWaitTime: 100 })
  const readAll = async (): Promise<void> => {
    for await (const { partition, offset, timestamp, key, value, headers } of messages) {
      records.push({
        partition,
        offset: Number(offset),
        timestampMs: Number(timestamp),
        key,
        value,
        headers: Array.from(headers, ([name, each]) => [String(name), String(each)] as const)
      })
      if (records.length >= count) return
    }
  }
  try {
    await withTimeout(`@platformatic/kafka read ${count} of ${stream}`, readAll())
  } finally {
    await messages.close()
    await consumer.close(true)
  }
  return records
}
