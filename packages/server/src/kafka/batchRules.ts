import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import {
  effectiveConfig,
  timestampAfter,
  timestampBefore,
  type TimestampType
} from "@logbrook/actors/catalog/StreamConfig"
import type { Codec } from "@logbrook/core/Compression"
import type { Limits } from "@logbrook/core/Limits"
import { noTimestamp, visitRecords, type BatchLimits, type ProducedBatch } from "@logbrook/core/RecordBatch"
import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"

/** The rules that hold for the batches of a stream. */
export interface BatchRules {
  readonly limits: BatchLimits
  /** The stream is compacted: a record without key would never be compacted. */
  readonly needsKeys: boolean
  readonly timestampType: TimestampType
  /** The codec that batches are stored with; undefined: the one that they come with. */
  readonly codec: Codec | "none" | undefined
  readonly timestampBeforeMaxMs: number
  readonly timestampAfterMaxMs: number
}

/** A record that is refused, by its place in the batch (KIP-467). */
export interface RecordError {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

/** Why a batch is refused for some of its records. */
export interface RefusedRecords {
  readonly code: KafkaErrorCode
  readonly message: string
  /** The first ones. */
  readonly recordErrors: ReadonlyArray<RecordError>
}

const known = new WeakMap<Stream, BatchRules>()

export const batchRulesOf = (stream: Stream, limits: Limits): BatchRules => {
  const found = known.get(stream)
  if (found !== undefined) return found
  const { recordBatchBytesMax, decompressedBytesMax, decompressionRatioMax } = limits
  const { maxMessageBytes, isCompacted, timestampType, timestampBeforeMaxMs, timestampAfterMaxMs, codec } =
    effectiveConfig(stream.config)
  const rules: BatchRules = {
    limits: {
      recordBatchBytesMax: Math.min(recordBatchBytesMax, maxMessageBytes),
      decompressedBytesMax,
      decompressionRatioMax
    },
    needsKeys: isCompacted,
    timestampType,
    codec,
    timestampBeforeMaxMs,
    timestampAfterMaxMs
  }
  known.set(stream, rules)
  return rules
}

const withoutKey = "A compacted topic takes no record without a key."

/**
 * The records of a batch that its stream does not take, the first `recordErrorsMax` of them; undefined when it takes all.
 * As Kafka's `LogValidator`: a record without a time has no wrong one, nor has one that gets the time of its append; and one wrong
 * time makes the whole batch INVALID_TIMESTAMP. Only a batch that has such records is read once more to find them.
 */
export const refuseRecords = (
  batch: ProducedBatch,
  rules: BatchRules,
  nowMs: number,
  recordErrorsMax: number
): RefusedRecords | undefined => {
  const { needsKeys, timestampType, timestampBeforeMaxMs, timestampAfterMaxMs } = rules
  const hasOwnTimes = timestampType === "CreateTime"
  const earliestMs = hasOwnTimes ? nowMs - timestampBeforeMaxMs : -Infinity
  const latestMs = hasOwnTimes ? nowMs + timestampAfterMaxMs : Infinity
  const hasWrongTime = batch.maxTimestampMs > latestMs || batch.minTimestampMs < earliestMs
  if (!hasWrongTime && !(needsKeys && batch.hasRecordWithoutKey)) return undefined

  const errorOf = (timestampMs: number, hasKey: boolean): string | undefined => {
    if (needsKeys && !hasKey) return withoutKey
    if (timestampMs > latestMs) return `Timestamp ${timestampMs} is after ${latestMs}, see ${timestampAfter}.`
    if (timestampMs >= earliestMs || timestampMs === noTimestamp) return undefined
    return `Timestamp ${timestampMs} is before ${earliestMs}, see ${timestampBefore}.`
  }
  const recordErrors: Array<RecordError> = []
  const add = (batchIndex: number, timestampMs: number, hasKey: boolean): boolean => {
    const batchIndexErrorMessage = errorOf(timestampMs, hasKey)
    if (batchIndexErrorMessage !== undefined) recordErrors.push({ batchIndex, batchIndexErrorMessage })
    return recordErrors.length < recordErrorsMax
  }
  if (recordErrorsMax > 0) visitRecords(batch.bytes, rules.limits, add)
  return hasWrongTime
    ? { code: KafkaError.INVALID_TIMESTAMP, message: "Records have times that the topic does not take.", recordErrors }
    : { code: KafkaError.INVALID_RECORD, message: withoutKey, recordErrors }
}
