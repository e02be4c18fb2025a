import { setTimeout as sleep } from "node:timers/promises"
import type { Kafka, KafkaJSError, Producer, ProducerConfig, RetryOptions } from "kafkajs"

// kafkajs (2.2.4) where its server ends and starts again.

/** Longer than a restart takes: only then is what was asked given up, and what became of it unknown. */
export const retryOverRestarts: RetryOptions = { initialRetryTime: 50, maxRetryTime: 300, retries: 60 }

const openTriesMax = 100
const openPauseMs = 100

/** A connected producer. kafkajs itself does not try again where the server ends while a producer gets its id. */
export const openProducer = async (
  kafka: Pick<Kafka, "producer">,
  config: ProducerConfig,
  triesLeft = openTriesMax
): Promise<Producer> => {
  const producer = kafka.producer(config)
  try {
    await producer.connect()
    return producer
  } catch (error) {
    if (triesLeft === 0 || (error as KafkaJSError).retriable !== true) throw error
    await sleep(openPauseMs)
    return openProducer(kafka, config, triesLeft - 1)
  }
}

const lost: ReadonlySet<string> = new Set(["KafkaJSConnectionError", "KafkaJSConnectionClosedError"])

/**
 * Lets a program live on whose server is killed. kafkajs rejects what it has asked on a connection when that breaks, also where nobody
 * waits for it any more, and Node ends the process then. Anything else that is rejected and handled by nobody ends it still.
 */
export const tolerateLostConnections = (): void => {
  process.on("unhandledRejection", (error) => {
    if (!(error instanceof Error && lost.has(error.name))) throw error
  })
}
