/** One member of the demonstration's group: tells its parent of every record. Usage: `demoConsumer.ts PORT NAME`. */
import { Kafka, logLevel } from "kafkajs"

const [port, name] = process.argv.slice(2)
const kafka = new Kafka({ clientId: name!, brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({ groupId: "dashboard", sessionTimeout: 6000, heartbeatInterval: 500 })

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  process.send!({ joined: payload.memberAssignment["sensors"] ?? [], generation: payload.groupProtocol })
})
await consumer.connect()
await consumer.subscribe({ topic: "sensors", fromBeginning: true })
await consumer.run({
  autoCommitInterval: 200,
  eachMessage: async ({ partition, message }) => {
    process.send!({
      partition,
      offset: Number(message.offset),
      key: message.key!.toString(),
      value: message.value!.toString()
    })
  }
})
process.on("message", async (text) => {
  if (text !== "leave") return
  await consumer.disconnect()
  process.exit(0)
})
