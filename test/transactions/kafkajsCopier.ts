/** kafkajs: copies a topic in transactions, as Copier.ts has it. */
import type { EachBatchPayload, Transaction } from "kafkajs"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { openProducer, retryOverRestarts, tolerateLostConnections } from "../support/overRestarts.ts"
import { randomOf } from "../support/random.ts"

const recordsMax = 20

const [brokers, from, to, name, abortShare, seed] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string
]
const kafka = kafkajsOf(brokers, name, retryOverRestarts)
const random = randomOf(Number(seed))
const say = (line: string): void => void process.stdout.write(`${line}\n`)

tolerateLostConnections()
const producer = await openProducer(kafka, {
  transactionalId: name,
  transactionTimeout: 20_000,
  maxInFlightRequests: 1
})
const consumer = kafka.consumer({
  groupId: name,
  readUncommitted: false,
  sessionTimeout: 6000,
  heartbeatInterval: 1000
})

/** What is committed; -1 where nothing is yet. */
const committedOf = async (partition: number): Promise<string> => {
  const admin = kafka.admin()
  await admin.connect()
  const [topic] = await admin.fetchOffsets({ groupId: name, topics: [from] })
  await admin.disconnect()
  return topic?.partitions.find((each) => each.partition === partition)?.offset ?? "-1"
}

const rewind = async (partition: number): Promise<void> => {
  const offset = Number(await committedOf(partition))
  consumer.seek({ topic: from, partition, offset: String(Math.max(offset, 0)) })
}

const giveUp = (error: unknown): never => {
  say(`ends because ${String(error)}`)
  process.exit(3)
}

const fill = async (
  transaction: Transaction,
  partition: number,
  offsets: ReadonlyArray<string>
): Promise<"committed" | "aborted"> => {
  const messages = offsets.map((each) => ({ partition, value: `${name} ${partition}:${each}` }))
  await transaction.send({ topic: to, messages })
  const next = String(Number(offsets.at(-1)) + 1)
  const topics = [{ topic: from, partitions: [{ partition, offset: next }] }]
  await transaction.sendOffsets({ consumerGroupId: name, topics })
  if (random() < Number(abortShare)) return "aborted"
  await transaction.commit()
  return "committed"
}

/** Ends the process where a transaction can neither be committed nor aborted. */
const copy = async (partition: number, offsets: ReadonlyArray<string>): Promise<"committed" | "aborted" | "failed"> => {
  try {
    const transaction = await producer.transaction()
    const result = await fill(transaction, partition, offsets).catch((error: unknown) => {
      say(`because ${String(error)}`)
      return "failed" as const
    })
    if (result !== "committed") await transaction.abort()
    return result
  } catch (error) {
    return giveUp(error)
  }
}

const eachBatch = async ({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> => {
  for (let i = 0; i < batch.messages.length && isRunning() && !isStale(); i += recordsMax) {
    const offsets = batch.messages.slice(i, i + recordsMax).map(({ offset }) => offset)
    const result = await copy(batch.partition, offsets)
    say(result)
    if (result !== "committed") return rewind(batch.partition)
    resolveOffset(offsets.at(-1)!)
    await heartbeat()
  }
}

const end = async (): Promise<void> => {
  await consumer.disconnect()
  await producer.disconnect()
  process.exit(0)
}
process.stdin.resume().on("end", () => void end())

consumer.on("consumer.crash", ({ payload }) => (payload.restart ? undefined : giveUp(payload.error)))
await consumer.connect()
await consumer.subscribe({ topics: [from], fromBeginning: true })
await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch })
