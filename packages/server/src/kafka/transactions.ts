import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"

/** The answer to a client that asks for transactions. A user sees the text, where the client shows it. */
export const noTransactions = {
  code: KafkaError.UNSUPPORTED_VERSION,
  message: "Transactions are not supported. Leave transactional.id out."
} as const

/** Below, FindCoordinator is asked by librdkafka and older clients; Java has asked in this version or later since 2.4. */
const textVersionMin = 3

/**
 * The code with which a coordinator of transactions is refused, beside that text. Java shows the text behind every code
 * but TRANSACTIONAL_ID_AUTHORIZATION_FAILED, for which it has words of its own, of rules that are not there. That is the
 * only one on which librdkafka gives up, and it does show the text; with another it asks again until its time is over.
 */
export const coordinatorRefusal = (findCoordinatorVersion: number) =>
  findCoordinatorVersion >= textVersionMin ? noTransactions.code : KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
