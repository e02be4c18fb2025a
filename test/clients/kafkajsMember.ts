/**
 * A group member in a process of its own, so that it can be killed. Arguments: brokers, stream, group, client id.
 * Tells its parent of assignments, and of what it has read; leaves the group when it gets a message.
 */
import { Kafka, logLevel } from "kafkajs"

const [brokers, stream, groupId, clientId] = process.argv.slice(2) as [string, string, string, string]
const kafka = new Kafka({ brokers: [brokers], clientId, logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({
  groupId,
  sessionTimeout: 6000,
  rebalanceTimeout: 10_000,
  heartbeatInterval: 300,
  // It does not learn of a rebalance while it waits for records.
  maxWaitTimeInMs: 300
})

consumer.on("consumer.group_join", ({ payload }) => {
  process.send!({ assigned: payload.memberAssignment[stream] ?? [] })
})
process.on("message", () => {
  void consumer.disconnect().then(() => process.exit(0))
})

await consumer.connect()
await consumer.subscribe({ topic: stream, fromBeginning: true })
await consumer.run({
  autoCommitThreshold: 10,
  eachMessage: async ({ partition, message }) => {
    process.send!({ read: `${partition}/${message.offset}` })
  }
})
