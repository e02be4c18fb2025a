import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { CliError, exitCodes, type ExitCode } from "../CliError.ts"

const names: ReadonlyMap<number, string> = new Map(Object.entries(KafkaError).map(([name, code]) => [code, name]))

const exits: ReadonlyMap<number, ExitCode> = new Map<number, ExitCode>([
  [KafkaError.UNKNOWN_TOPIC_OR_PARTITION, exitCodes.notFound],
  [KafkaError.UNKNOWN_TOPIC_ID, exitCodes.notFound],
  [KafkaError.GROUP_ID_NOT_FOUND, exitCodes.notFound],
  [KafkaError.OFFSET_OUT_OF_RANGE, exitCodes.notFound],
  [KafkaError.TOPIC_AUTHORIZATION_FAILED, exitCodes.denied],
  [KafkaError.GROUP_AUTHORIZATION_FAILED, exitCodes.denied],
  [KafkaError.CLUSTER_AUTHORIZATION_FAILED, exitCodes.denied],
  [KafkaError.INVALID_TOPIC_EXCEPTION, exitCodes.usage],
  [KafkaError.INVALID_GROUP_ID, exitCodes.usage]
])

/** `what`: "orders-0". Its code is Kafka's name for the error. */
export const kafkaError = (what: string, code: number, message?: string | null, hint?: string): CliError => {
  const name = names.get(code) ?? `ERROR_${code}`
  const words = message ?? name.toLowerCase().replaceAll("_", " ")
  return new CliError(exits.get(code) ?? exitCodes.failure, `E_${name}`, `${what}: ${words}`, hint)
}

export const throwUnlessNone = (what: string, code: number, message?: string | null): void => {
  if (code !== KafkaError.NONE) throw kafkaError(what, code, message)
}
