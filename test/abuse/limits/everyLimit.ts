import type { Limits } from "@logbrook/core/Limits"
import { connectionSteps, heldSteps } from "./heldSteps.ts"
import { keptSteps } from "./keptSteps.ts"

/** In this order: the first leaves places for connections of the others. */
export const steps = { ...connectionSteps, ...keptSteps, ...heldSteps }

export type StepName = keyof typeof steps

/** The step that drives a limit to its maximum, or as far as the account of memory lets it; or why it bounds no memory. */
type Driven = StepName | { readonly boundsNoMemory: string }

const aTime: Driven = { boundsNoMemory: "a time: what is held until then is what other limits count" }
const aFloor: Driven = { boundsNoMemory: "a minimum" }
const constant: Driven = { boundsNoMemory: "no client can bring it there: it is how the server writes" }

/** Of every limit: one that is added without a line here does not compile. */
export const everyLimit: Readonly<Record<keyof Limits, Driven>> = {
  preAuthFrameBytesMax: "unknown",
  connectTimeoutMs: aTime,
  authenticationTimeoutMs: aTime,
  preAuthConnectionsMax: "unknown",
  preAuthConnectionsPerAddressMax: "unknown",
  memoryBytesMax: "connections",
  frameStallMs: aTime,
  connectionsMax: "connections",
  connectionsPerAddressMax: "connections",
  newConnectionsPerSecondMax: "connections",
  refusalsToldMax: "connections",
  mqttPacketBytesMax: "parts",
  clientIdBytesMax: "wills",
  topicBytesMax: "subscriptions",
  topicLevelsMax: "subscriptions",
  subscriptionsPerSessionMax: "subscriptions",
  subscriptionsPerPacketMax: "subscriptions",
  receiveMaximum: { boundsNoMemory: "what is under way counts as commits in flight, packet ids as sessions" },
  inflightPerSessionMax: "unread",
  offlineQueueMessagesMax: "queues",
  offlineQueueBytesMax: "unread",
  sessionLogBytesMax: { boundsNoMemory: "of the disk: the records of queued messages" },
  sessionExpiryMsMax: "wills",
  streamSharesIdleMax: { boundsNoMemory: "the account of sessions does, which others fill" },
  sessionsMax: "wills",
  retainedMessagesMax: "retained",
  retainedBytesMax: "retained",
  willDelayMsMax: "wills",
  userPropertiesMax: "wills",
  userPropertiesBytesMax: "wills",
  topicAliasesMax: "connections",
  kafkaRequestBytesMax: "kafka",
  kafkaInFlightBytesMax: "kafka",
  kafkaPipelinedRequestsMax: "kafka",
  recordBatchBytesMax: "kafka",
  decompressedBytesMax: "kafka",
  decompressionRatioMax: "kafka",
  fetchBytesMax: "kafka",
  fetchWaitMsMax: aTime,
  kafkaFetchSessionsMax: "fetches",
  groupMembersMax: "members",
  groupMetadataBytesMax: "members",
  groupBytesMax: "members",
  groupSessionTimeoutMsMin: aFloor,
  groupSessionTimeoutMsMax: "members",
  groupOffsetsMax: "offsets",
  groupOffsetMetadataLengthMax: "offsets",
  groupOffsetsRetentionMs: aTime,
  transactionalIdsMax: "transactions",
  transactionalIdExpirationMs: aTime,
  transactionTimeoutMsMax: aTime,
  transactionPartitionsMax: "transactions",
  streamsMax: "streams",
  partitionsPerStreamMax: "streams",
  httpConnectionsMax: "http",
  httpBodyBytesMax: "http",
  httpHeadersTimeoutMs: aTime,
  httpRequestTimeoutMs: aTime,
  httpEventTailsMax: "http",
  metricsRowsMax: "http",
  slowConsumerUnsentBytesMax: "unread",
  slowConsumerStallMs: aTime,
  diskReserveBytesMin: aFloor,
  diskReserveRatioMin: aFloor,
  clockAheadMsMax: aTime,
  clockHoldMs: aTime,
  commitInFlightBytesMax: "unread",
  commitsInFlightMax: "unread",
  commitPacingMs: aTime,
  commitPacingBytesMax: constant,
  inboxCommandsMax: "connections",
  tailBytesMax: "unread",
  segmentBytesMax: { boundsNoMemory: "of the disk" },
  segmentIndexEntriesMax: "producers",
  compactionKeysBytesMax: { boundsNoMemory: "of the settling process, not the server" },
  snapshotPageBytesMax: constant,
  synthesisedBatchBytesMax: constant
}
