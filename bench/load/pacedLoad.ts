import { RecordReader } from "@logbrook/core/Record"
import { batchBytes, batchesOf, batchHeaderBytes } from "@logbrook/core/RecordBatch"
import * as net from "node:net"
import { nextOffset } from "./kafkaFetch.ts"
import { KafkaClient } from "./KafkaClient.ts"
import { connectPacket, disconnectPacket, publishPacket, pubackBytes } from "./mqttPackets.ts"

export interface PacedRun {
  readonly messages: number
  readonly elapsedMs: number
  /** From the write of the PUBLISH to its record in a Fetch response, sorted, in ms; empty without `fetches`. */
  readonly latenciesMs: ReadonlyArray<number>
}

export interface PacedOptions {
  readonly mqttPort: number
  readonly kafkaPort: number
  readonly topic: string
  readonly partitions: number
  readonly connections: number
  readonly perSecond: number
  readonly payloadBytes: number
  readonly durationMs: number
  /** Whether one long-polling Fetch over all partitions reads along. */
  readonly fetches: boolean
}

const mib = 1024 * 1024
const restMs = 10_000
const timeBytes = 8

/** Publishers of QoS 1 that send when told, and count their answers. */
export class PacedPublishers {
  readonly #sockets: Array<net.Socket> = []
  readonly #payloadBytes: number
  readonly #topicOf: (connection: number) => string
  #packetId = 0
  #next = 0
  #random = 1
  answeredBytes = 0

  constructor(payloadBytes: number, topicOf = (connection: number) => `sensors/device${connection}/data`) {
    this.#payloadBytes = payloadBytes
    this.#topicOf = topicOf
  }

  /** As many as there are after this call. */
  async growTo(port: number, connections: number): Promise<void> {
    for (let index = this.#sockets.length; index < connections; index++) {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
      socket.once("data", () => {
        socket.on("data", (chunk) => (this.answeredBytes += chunk.length))
        resolve()
      })
      socket.on("error", reject)
      socket.once("close", () => reject(new Error("the connection was closed by the server")))
      socket.write(connectPacket(`bench-paced-${index}`, 600))
      await promise
      this.#sockets.push(socket)
    }
  }

  /** What a device would send: JSON whose numbers differ from message to message. */
  #reading(): string {
    const digits = (count: number): string => {
      this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0
      return String(this.#random).padStart(10, "0").slice(0, count)
    }
    return `{"celsius":2${digits(3)},"humidity":0.${digits(4)},"volt":3.${digits(3)},"serial":"${digits(9)}"}`
  }

  /** The payload begins with the time of its write. */
  publish(): void {
    const payload = Buffer.alloc(this.#payloadBytes, 0x20)
    payload.write(this.#reading(), timeBytes, "latin1")
    payload.writeDoubleBE(performance.now(), 0)
    const at = this.#next++ % this.#sockets.length
    this.#packetId = (this.#packetId % 65_535) + 1
    this.#sockets[at]!.write(publishPacket(this.#topicOf(at), payload, 1, this.#packetId))
  }

  close(): void {
    for (const socket of this.#sockets) socket.end(disconnectPacket)
  }
}

/** `perSecond` messages, as many per tick of the timer as are due; tells how many. */
const publishPaced = (
  publishers: PacedPublishers,
  { perSecond, durationMs }: Pick<PacedOptions, "perSecond" | "durationMs">
): Promise<number> => {
  const { promise, resolve } = Promise.withResolvers<number>()
  const began = performance.now()
  const total = Math.floor((perSecond * durationMs) / 1000)
  let sent = 0
  const tick = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - began) * perSecond) / 1000))
    for (; sent < due; sent++) publishers.publish()
    if (sent < total) return
    clearInterval(tick)
    resolve(total)
  }, 1)
  return promise
}

/** Rejects when the answers do not come within 10 s, or others do. */
const answered = async (publishers: PacedPublishers, bytes: number): Promise<void> => {
  const deadlineMs = performance.now() + restMs
  while (publishers.answeredBytes < bytes && performance.now() < deadlineMs) {
    await new Promise((resolve) => void setTimeout(resolve, 1))
  }
  if (publishers.answeredBytes !== bytes) throw new Error("not everything was acknowledged")
}

/** One slice of a load whose connections stay; tells how many messages. */
export const runSlice = async (
  publishers: PacedPublishers,
  options: Pick<PacedOptions, "perSecond" | "durationMs">
): Promise<number> => {
  const before = publishers.answeredBytes
  const messages = await publishPaced(publishers, options)
  await answered(publishers, before + messages * pubackBytes)
  return messages
}

/** Reads what is new until `wanted` says that it is enough. */
const followStream = async (options: PacedOptions, latenciesMs: Array<number>, isDone: () => boolean) => {
  const client = await KafkaClient.connect(options.kafkaPort)
  const marks = await client.highWatermarks(options.topic, options.partitions)
  const offsets = new Map(marks.map((mark, partition) => [partition, mark]))
  const reader = new RecordReader()
  const follow = async (): Promise<void> => {
    while (!isDone()) {
      const bounds = { maxWaitMs: 100, partitionBytesMax: mib, bytesMax: 8 * mib }
      for (const { partition, records } of await client.fetch(options.topic, offsets, bounds)) {
        const nowMs = performance.now()
        const from = offsets.get(partition) ?? 0
        offsets.set(partition, nextOffset(records, from))
        batchesOf(records, (at) => {
          reader.reset(records.subarray(at + batchHeaderBytes, at + batchBytes(records, at)))
          while (reader.next()) latenciesMs.push(nowMs - Buffer.from(reader.value()!).readDoubleBE(0))
        })
      }
    }
    client.close()
  }
  return { done: follow() }
}

/** Rejects when an answer, or a record that is read along, does not come within 10 s. */
export const runPaced = async (options: PacedOptions): Promise<PacedRun> => {
  const publishers = new PacedPublishers(options.payloadBytes)
  await publishers.growTo(options.mqttPort, options.connections)
  const latenciesMs: Array<number> = []
  let total = Infinity
  let deadlineMs = Infinity
  const isRead = () => latenciesMs.length >= total || performance.now() > deadlineMs
  const following = options.fetches ? await followStream(options, latenciesMs, isRead) : undefined
  const began = performance.now()
  total = await publishPaced(publishers, options)
  deadlineMs = performance.now() + restMs
  await answered(publishers, total * pubackBytes)
  const elapsedMs = performance.now() - began
  await following?.done
  publishers.close()
  if (options.fetches && latenciesMs.length !== total) throw new Error(`${latenciesMs.length} of ${total} were read`)
  return { messages: total, elapsedMs, latenciesMs: latenciesMs.toSorted((a, b) => a - b) }
}
