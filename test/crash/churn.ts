import type { Kafka } from "kafkajs"
import { kcatRead } from "../support/kcat.ts"
import type { ServerProcess } from "../support/server.ts"
import { CompactedAudit, valuesOf } from "./CompactedAudit.ts"
import { ExpiringAudit, samplesOf } from "./ExpiringAudit.ts"
import { KafkaProducer } from "./KafkaProducer.ts"

const samples = { name: "samples", partitions: 2, pauseMs: 20 }
const states = { name: "states", partitions: 2, pauseMs: 10 }
const slowMs = 300
const deleteRetentionMs = 2000
/** A closed segment is compacted whatever it costs. */
const compactionLagMs = 500

/** To prove that the checks can fail, a record is left out of what was read. */
export type ChurnLoss = "sample" | "state"

export interface ChurnOptions {
  /** Longer than it takes from an acknowledgement to the look after the next restart. */
  readonly retentionMs: number
  /** Whether the compacted stream's records expire as well, so that whole segments can go. */
  readonly allExpires: boolean
  readonly faults: Array<string>
  readonly lose: ChurnLoss | undefined
}

/** Streams of which the server removes records: one where they expire, one that is compacted. */
export const startChurn = async (server: ServerProcess, kafka: Kafka, options: ChurnOptions) => {
  const { retentionMs, allExpires, faults, lose } = options
  await server.createStream(samples.name, {
    partitions: samples.partitions,
    config: { "retention.ms": String(retentionMs) }
  })
  await server.createStream(states.name, {
    partitions: states.partitions,
    config: {
      "cleanup.policy": allExpires ? "compact,delete" : "compact",
      "max.compaction.lag.ms": String(compactionLagMs),
      "delete.retention.ms": String(deleteRetentionMs),
      ...(allExpires ? { "retention.ms": String(retentionMs) } : {})
    }
  })
  const sampling = new KafkaProducer(kafka, samples.name, samples.partitions, samples.pauseMs, samplesOf)
  const stating = new KafkaProducer(kafka, states.name, states.partitions, states.pauseMs, valuesOf)
  const readOf = (stream: string) => (partition: number) => kcatRead(server.kafka, stream, { partition })
  const expiring = new ExpiringAudit(samples.name, samples.partitions, retentionMs, faults, readOf(samples.name))
  const rules = { deleteRetentionMs, retentionMs: allExpires ? retentionMs : Infinity }
  const compacted = new CompactedAudit(states.name, states.partitions, rules, faults, readOf(states.name))
  return {
    slow: (isSlow: boolean): void => {
      sampling.pauseMs = isSlow ? slowMs : samples.pauseMs
      stating.pauseMs = isSlow ? slowMs : states.pauseMs
    },
    /** All that was acknowledged before the call is there, but for what may be gone. */
    audit: async (): Promise<void> => {
      await expiring.check(sampling.acknowledged, lose === "sample")
      await compacted.check(stating.acknowledged, lose === "state")
    },
    /** Resolves when everything that was sent is answered. */
    finish: async (): Promise<void> => {
      await sampling.end()
      await stating.end()
    },
    get expired(): number {
      return expiring.expired
    },
    get compacted(): number {
      return compacted.compacted
    },
    text: (): string =>
      `${expiring.expired} samples expired, ${compacted.compacted} states compacted away, ` +
      `${sampling.givenUp.length + stating.givenUp.length} batches given up`
  }
}

export type Churn = Awaited<ReturnType<typeof startChurn>>
