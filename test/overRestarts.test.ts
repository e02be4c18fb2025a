import { type Kafka, KafkaJSConnectionError, KafkaJSNonRetriableError } from "kafkajs"
import { expect, it } from "vitest"
import { openProducer } from "./support/overRestarts.ts"

const config = { transactionalId: "t" }

/** Its producers fail with these errors when they connect, one after the other; those behind connect. */
const failing = (...errors: ReadonlyArray<Error>) => {
  const made: Array<unknown> = []
  const producer = (given: unknown) => {
    const error = errors[made.length]
    made.push(given)
    return { connect: async () => (error === undefined ? undefined : Promise.reject(error)) }
  }
  return { kafka: { producer } as unknown as Pick<Kafka, "producer">, made }
}

const lost = new KafkaJSConnectionError("Connection closed")

it("a producer whose server ends while it connects is followed by another one of the same settings", async () => {
  const { kafka, made } = failing(lost, lost)
  await openProducer(kafka, config)
  expect(made).toEqual([config, config, config])
})

it("what another try does not help is thrown at once, and a lost connection when the tries are used up", async () => {
  const refused = new KafkaJSNonRetriableError("fenced")
  const other = failing(refused)
  await expect(openProducer(other.kafka, config)).rejects.toBe(refused)
  expect(other.made).toHaveLength(1)
  const always = failing(lost, lost)
  await expect(openProducer(always.kafka, config, 1)).rejects.toBe(lost)
  expect(always.made).toHaveLength(2)
})
