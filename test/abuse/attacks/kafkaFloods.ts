import { randomFillSync } from "node:crypto"
import { compress, type Codec } from "@logbrook/core/Compression"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { decodeResponseHeader } from "@logbrook/protocols/kafka/Header"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { Fetch } from "@logbrook/protocols/kafka/messages/01_Fetch"
import { ListOffsets } from "@logbrook/protocols/kafka/messages/02_ListOffsets"
import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { Splitter } from "@logbrook/protocols/kafka/Splitter"
import { type Attack, kafkaRequest, sleep, withHorde, written } from "../Attack.ts"

const mib = 1024 * 1024
export const codecs: ReadonlyArray<Codec> = ["gzip", "snappy", "lz4", "zstd"]

export const fetchAll = (): Buffer =>
  kafkaRequest(Fetch, 11, {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 50 * mib,
    isolationLevel: 0,
    topics: [
      {
        topic: "filled",
        partitions: [
          {
            partition: 0,
            currentLeaderEpoch: -1,
            fetchOffset: 0,
            lastFetchedEpoch: -1,
            partitionMaxBytes: 50 * mib
          }
        ]
      }
    ]
  })

/** A hundred clients that ask for 50 MB, five times over, and read nothing. */
export const unreadFetches: Attack = (field) =>
  withHorde(field, async (horde) => {
    const asks = Buffer.concat(Array.from({ length: 5 }, fetchAll))
    const sockets = await horde.connectMany(field.ports.kafka, Math.ceil(100 * field.scale))
    await Promise.all(
      sockets.map((socket) => {
        field.count("requests", 5)
        return written(socket, asks)
      })
    )
  })

/** A batch that decompresses to so many bytes, which are no records. */
export const bombOf = (codec: Codec, bytes: number, incompressibleBytes = 0): Buffer => {
  const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: 1, baseTimestampMs: 1, maxTimestampMs: 1, codec }
  const records = Buffer.alloc(bytes)
  randomFillSync(records, 0, incompressibleBytes)
  const batch = buildBatch(fields, compress(codec, records))
  return kafkaRequest(Produce, 9, {
    transactionalId: null,
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: "free", partitionData: [{ index: 0, records: batch }] }]
  })
}

/** Each client sends its batch again when it is answered. */
const refusedBatches = (makeBombs: () => ReadonlyArray<Buffer>): Attack => {
  let bombs: ReadonlyArray<Buffer> | undefined
  return (field) =>
    withHorde(field, async (horde) => {
      bombs ??= makeBombs()
      const work = async (bomb: Buffer): Promise<void> => {
        while (!field.signal.aborted) {
          const { promise, resolve } = Promise.withResolvers<void>()
          const splitter = new Splitter(mib)
          const onResponse = (response: Uint8Array): void => {
            const { bodyOffset } = decodeResponseHeader(response, Produce, 9)
            const { responses } = Produce.decodeResponse(response, 9, bodyOffset)
            field.count(responses[0]!.partitionResponses[0]!.errorCode === 0 ? "stored" : "refused")
            resolve()
          }
          const socket = await horde.connect(field.ports.kafka, (chunk) => splitter.push(chunk, onResponse))
          socket?.on("close", () => resolve())
          socket?.write(bomb)
          await Promise.race([promise, sleep(5000, field.signal)])
          horde.end(socket)
          await sleep(50, field.signal)
        }
      }
      await Promise.all(bombs.map(work))
    })
}

/** Batches that decompress to up to 256 MiB, of each codec. */
export const decompressionBombs: Attack = refusedBatches(() => [
  bombOf("gzip", 100 * mib),
  bombOf("snappy", 20 * mib),
  bombOf("lz4", 100 * mib),
  bombOf("zstd", 256 * mib)
])

/** Batches of 15 MiB, which size and ratio allow: they are decompressed to their ends before they are refused. */
export const allowedBombs: Attack = refusedBatches(() => codecs.map((codec) => bombOf(codec, 15 * mib, 100_000)))

/** Thousands of small requests at once on each of fifty connections, whose answers nobody reads. */
export const pipelinedRequests: Attack = (field) =>
  withHorde(field, async (horde) => {
    const topics = [{ name: "filled", partitions: [{ partitionIndex: 0, timestamp: 1 }] }]
    const burst = Buffer.concat(
      Array.from({ length: 1000 }, (_, n) =>
        n % 2 === 0
          ? kafkaRequest(Metadata, 1, { topics: null })
          : kafkaRequest(ListOffsets, 5, { replicaId: -1, isolationLevel: 0, topics })
      )
    )
    const sockets = await horde.connectMany(field.ports.kafka, Math.ceil(50 * field.scale))
    while (!field.signal.aborted) {
      for (const socket of sockets) {
        if (socket.destroyed || socket.writableNeedDrain) continue
        socket.write(burst)
        field.count("requests", 1000)
      }
      await sleep(100, field.signal)
    }
  })
