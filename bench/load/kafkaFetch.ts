import { batchBytes, batchLogOverheadBytes, lastOffset } from "@logbrook/core/RecordBatch"
import { KafkaClient } from "./KafkaClient.ts"

export interface FetchRun {
  readonly bytes: number
  readonly records: number
  readonly elapsedMs: number
  readonly clientCpuMs: number
}

const mib = 1024 * 1024

/** The offset behind the last whole batch. */
export const nextOffset = (records: Uint8Array, from: number): number => {
  let next = from
  for (let at = 0; at + batchLogOverheadBytes < records.length; at += batchBytes(records, at)) {
    if (at + batchBytes(records, at) > records.length) break
    next = lastOffset(records, at) + 1
  }
  return next
}

const fetchPartitions = async (
  port: number,
  isTls: boolean,
  topic: string,
  ends: ReadonlyMap<number, number>,
  software: string | undefined
) => {
  const client = await KafkaClient.connect(port, isTls)
  if (software !== undefined) await client.identify(software)
  const offsets = new Map(Array.from(ends.keys(), (partition) => [partition, 0]))
  let bytes = 0
  let records = 0
  while (offsets.size > 0) {
    const options = { maxWaitMs: 500, partitionBytesMax: mib, bytesMax: 8 * mib }
    for (const fetched of await client.fetch(topic, offsets, options)) {
      const from = offsets.get(fetched.partition) ?? 0
      const next = nextOffset(fetched.records, from)
      bytes += fetched.records.length
      records += next - from
      if (next >= (ends.get(fetched.partition) ?? 0)) offsets.delete(fetched.partition)
      else offsets.set(fetched.partition, next)
    }
  }
  client.close()
  return { bytes, records }
}

/** Everything that is below the high watermarks, once, over `connections` that share the partitions, as a client of this software. */
export const fetchAll = async (options: {
  readonly port: number
  readonly isTls?: boolean
  readonly topic: string
  readonly partitions: number
  readonly connections: number
  readonly software?: string
}): Promise<FetchRun> => {
  const { port, isTls = false, topic, partitions, connections, software } = options
  const asking = await KafkaClient.connect(port, isTls)
  const marks = await asking.highWatermarks(topic, partitions)
  asking.close()
  const shares = Array.from({ length: connections }, () => new Map<number, number>())
  marks.forEach((mark, partition) => mark > 0 && shares[partition % connections]!.set(partition, mark))
  const cpuBefore = process.cpuUsage()
  const began = performance.now()
  const fetching = shares
    .filter((share) => share.size > 0)
    .map((share) => fetchPartitions(port, isTls, topic, share, software))
  const runs = await Promise.all(fetching)
  const elapsedMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpuBefore)
  const bytes = runs.reduce((sum, run) => sum + run.bytes, 0)
  const records = runs.reduce((sum, run) => sum + run.records, 0)
  return { bytes, records, elapsedMs, clientCpuMs: (user + system) / 1000 }
}

/** The sum of the high watermarks: how many messages a stream that was never cut has stored. */
export const stored = async (port: number, topic: string, partitions: number): Promise<number> => {
  const client = await KafkaClient.connect(port)
  const marks = await client.highWatermarks(topic, partitions)
  client.close()
  return marks.reduce((sum, mark) => sum + mark, 0)
}
