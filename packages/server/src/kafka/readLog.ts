import { JournalError } from "@logbrook/core/journal/JournalError"
import type { RequestContext } from "./Handler.ts"

/**
 * Reads the log of a partition; undefined: it cannot be read. The server's own log tells why, and clients are to be told
 * KAFKA_STORAGE_ERROR.
 */
export const readLog = <T extends object>(
  { node }: Pick<RequestContext, "node">,
  stream: string,
  partition: number,
  read: () => T
): T | undefined => {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof JournalError)) throw error
    node.broker.log.error("kafka: a log cannot be read", { stream, partition, error: error.message })
    return undefined
  }
}
