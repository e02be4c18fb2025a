import { ownBytes, textBytes } from "@logbrook/core/memory/MemoryAccount"
import type { SessionLife } from "./sessionMachine.ts"
import type { QueueEntry, MessageRef, Subscription, Will } from "./SessionProtocol.ts"

// Bytes of memory, measured by bench/memoryWeights.ts with what the shell derives from a session.
/**
 * The memory of a session. If the session ends with its connection, it is on the account of connections: each
 * connection that was let in has a session.
 */
export const sessionBytes = 1000
const willBytes = 300
const propertyBytes = 120
/** With its places in maps, which may have grown to twice what they hold. */
const subscriptionBytes = 260
/** The group of `$share/NAME/FILTER`: its only member may be this one. */
const shareBytes = 400
/** Where a subscription reads a stream: an offset, and an end, of each of 64 partitions. */
export const readingBytes = 1600
/** A node of the trie for each level: filters that share some weigh more than they take. */
const levelBytes = 80
/** Up to 32 packet ids in a row, in the session's state and in its connection. */
export const packetIdsBytes = 112
const queuedBytes = 240
const subscriptionIdBytes = 8
/** What the reader of a stream says of a record. */
const streamDeliveryBytes = 80

const levelsOf = (filter: string): number => {
  let levels = 1
  for (let at = filter.indexOf("/"); at !== -1; at = filter.indexOf("/", at + 1)) levels++
  return levels
}

/** The text twice: in the state, and level by level in the trie. */
export const weightOfSubscription = ({ filter }: Pick<Subscription, "filter">): number =>
  subscriptionBytes +
  levelBytes * levelsOf(filter) +
  2 * textBytes(filter) +
  (filter.startsWith("$share/") ? shareBytes : 0) +
  (filter.startsWith("$stream/") ? readingBytes : 0)

export const weightOfWill = (will: Will | null): number => {
  if (will === null) return 0
  let bytes = willBytes + textBytes(will.topic) + ownBytes(will.payload)
  bytes += textBytes(will.contentType ?? "") + textBytes(will.responseTopic ?? "")
  if (will.correlationData !== null) bytes += ownBytes(will.correlationData)
  for (const [name, value] of will.userProperties) bytes += propertyBytes + textBytes(name) + textBytes(value)
  return bytes
}

/** The weight of a session's life, its will, and the wills that are not published yet. */
export const weightOfLife = (
  { sessionExpiryMs, will, mountPoint }: Pick<SessionLife, "sessionExpiryMs" | "will" | "mountPoint">,
  pendingWills: ReadonlyArray<{ readonly will: Will }>
): number => {
  let bytes = (sessionExpiryMs > 0 ? sessionBytes : 0) + weightOfWill(will)
  if (mountPoint !== undefined) bytes += textBytes(mountPoint)
  for (const pending of pendingWills) bytes += weightOfWill(pending.will)
  return bytes
}

/** A message that is released weighs the same. Its share is a text of its own once it was replayed. */
export const weightOfQueued = ({ subscriptionIds, stream, share }: MessageRef | QueueEntry): number => {
  let bytes = queuedBytes + subscriptionIdBytes * subscriptionIds.length
  if (stream !== undefined) bytes += streamDeliveryBytes
  return share === undefined ? bytes : bytes + textBytes(share)
}
