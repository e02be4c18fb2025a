import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { KafkaClient } from "./KafkaClient.ts"

export interface ProduceRun {
  readonly records: number
  readonly bytes: number
  readonly elapsedMs: number
}

const produceVersion = 9
const timestampMs = Date.now()

const batchOf = (records: number, valueBytes: number): Uint8Array => {
  const builder = new RecordsBuilder(records * (valueBytes + 64))
  for (let index = 0; index < records; index++) {
    builder.append(null, Buffer.alloc(valueBytes, 0x61 + (index % 26)), noHeaders, timestampMs)
  }
  const fields = { baseOffset: 0, partitionLeaderEpoch: -1, count: records } as const
  return buildBatch({ ...fields, baseTimestampMs: timestampMs, maxTimestampMs: timestampMs }, builder.bytes)
}

/** The same batch again and again with acks -1; each connection has one request under way, to partitions in turn. */
export const produceAll = async (options: {
  readonly port: number
  readonly isTls?: boolean
  readonly topic: string
  readonly partitions: number
  readonly connections: number
  readonly recordsPerBatch: number
  readonly valueBytes: number
  readonly batches: number
}): Promise<ProduceRun> => {
  const batch = batchOf(options.recordsPerBatch, options.valueBytes)
  let next = 0
  const produce = async (): Promise<void> => {
    const client = await KafkaClient.connect(options.port, options.isTls)
    while (next < options.batches) {
      const index = next++ % options.partitions
      const topicData = [{ name: options.topic, partitionData: [{ index, records: batch }] }]
      const { responses } = await client.request(Produce, produceVersion, { acks: -1, timeoutMs: 30_000, topicData })
      const errorCode = responses[0]?.partitionResponses[0]?.errorCode
      if (errorCode !== 0) throw new Error(`Produce to ${options.topic}-${index}: error ${errorCode}`)
    }
    client.close()
  }
  const began = performance.now()
  await Promise.all(Array.from({ length: options.connections }, produce))
  const elapsedMs = performance.now() - began
  const records = options.batches * options.recordsPerBatch
  return { records, bytes: options.batches * batch.length, elapsedMs }
}
