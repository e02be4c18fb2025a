import { KafkaError, type KafkaErrorCode } from "@logbrook/protocols/kafka/ErrorCodes"

/** Clients of versions before `since` do not know PRODUCER_FENCED: they are told the code from which it was split. */
export const fencedBefore = (since: number, code: KafkaErrorCode, version: number): KafkaErrorCode =>
  code === KafkaError.PRODUCER_FENCED && version < since ? KafkaError.INVALID_PRODUCER_EPOCH : code
