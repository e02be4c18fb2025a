const lost: ReadonlySet<string> = new Set(["KafkaJSConnectionError", "KafkaJSConnectionClosedError"])

/**
 * Lets a rig live on that kills its server. kafkajs (2.2.4) rejects what it has asked on a connection when that breaks, also where
 * nobody waits for it any more, and Node ends the process then. Anything else that is rejected and handled by nobody ends it still.
 */
export const tolerateLostConnections = (): void => {
  process.on("unhandledRejection", (error) => {
    if (!(error instanceof Error && lost.has(error.name))) throw error
  })
}
