// How a stream is fed to clients, whether one reads it (`StreamFeed`) or a group does (`SharedStreamFeed`).

/** Looks at records that one feed may have in one turn of the event loop, see `MqttContext.streamLooks`. */
export const looksMax = 256
/** A client with so much unread gets nothing more of a stream: what is live keeps its room. */
export const unsentBytesMax = 128 * 1024
/** Records that are given to the queue of a session at once. */
export const batchRecordsMax = 64
export const batchBytesMax = 256 * 1024
/** How often positions are told that moved without records in the queue: of QoS 0, and past what a filter does not match. */
export const tellEveryMs = 1000
/** When what an actor had no room for is asked again. */
export const askAgainMs = 250
