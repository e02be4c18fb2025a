const kib = 1024
const mib = 1024 * kib
const gib = 1024 * mib
const secondMs = 1000
const hourMs = 3600 * secondMs
const dayMs = 24 * hourMs

/**
 * Every bound of a server, flat, units last in names (`Bytes`, `Ms`; a bare `Max` counts things).
 * Nothing in the server may grow, wait or be accepted without one of these.
 */
export interface Limits {
  /** Largest packet or request of a connection before it is authenticated. */
  readonly preAuthFrameBytesMax: number
  /** From accept to a complete CONNECT or first Kafka request. */
  readonly connectTimeoutMs: number
  /** How long an exchange of enhanced authentication may take: from CONNECT, or the AUTH that begins it anew, to its end. */
  readonly authenticationTimeoutMs: number
  /** Connections that are not authenticated yet, over all addresses. */
  readonly preAuthConnectionsMax: number
  /** The same of one address: whoever only connects does not take the places of those that say who they are. */
  readonly preAuthConnectionsPerAddressMax: number

  /** Memory that clients may make the server keep, all together; each kind of holder has a share of it. Unless set: three fifths of what V8 may take for its heap. */
  readonly memoryBytesMax: number

  /** The longest that a begun packet or request may stand without being completed. */
  readonly frameStallMs: number

  /** Connections of both protocols. An idle MQTT client with a durable session takes 13 KB. */
  readonly connectionsMax: number
  /** Connections from one address; fleets come through one NAT or load balancer. Lower, it keeps one host from taking all places. */
  readonly connectionsPerAddressMax: number
  /** New connections accepted per second. A thousand take 0.3 s of CPU: a storm leaves the rest to those that are connected, and a fleet of 10,000 is back within 15 s. */
  readonly newConnectionsPerSecondMax: number
  /** MQTT connections above a limit that are read up to their CONNECT and get a CONNACK that says why they are refused: at a time, and in a second. Those beyond are closed at once. */
  readonly refusalsToldMax: number

  /** An MQTT packet, fixed header included. Each connection may hold one that is not complete, for `frameStallMs`. A message for a stream is bounded by `recordBatchBytesMax` and `max.message.bytes` as well. */
  readonly mqttPacketBytesMax: number
  /** An MQTT client id, in UTF-8. */
  readonly clientIdBytesMax: number
  /** A topic or a topic filter, in UTF-8. */
  readonly topicBytesMax: number
  /** Levels of a topic or a topic filter. */
  readonly topicLevelsMax: number

  /** Subscriptions of one session; each one more is refused by its own code. With filters of 20 characters each takes 0.6 KB at most, so a session 6 MiB; 50,000 of durable sessions make a start up to 0.9 s longer. */
  readonly subscriptionsPerSessionMax: number
  /** Topic filters that are read of one SUBSCRIBE or UNSUBSCRIBE; those behind them are refused by their own codes. 10,000 take 60 ms of CPU, half of it at a time. */
  readonly subscriptionsPerPacketMax: number

  /** Receive Maximum that the server announces: an MQTT 5 client's QoS 2 publishes that wait for PUBREL; any client's QoS 1 and 2 publishes that wait for their commits before its socket is read further. */
  readonly receiveMaximum: number
  /** Unacknowledged deliveries to a client; its own Receive Maximum when that is lower. */
  readonly inflightPerSessionMax: number

  /** Messages queued for one session; those in flight included of a durable one, and of a member of a group that reads a stream. */
  readonly offlineQueueMessagesMax: number
  /** Payload and topic bytes of the same. */
  readonly offlineQueueBytesMax: number

  /** Bytes of all durable sessions' messages that are not expired; beyond it the oldest are dropped. */
  readonly sessionLogBytesMax: number

  /** Session Expiry Interval granted at most, and how long a group that reads a stream is kept without members. */
  readonly sessionExpiryMsMax: number
  /** Groups that read a stream, have no member, and keep their position. For one more, the one without a member for longest is forgotten. */
  readonly streamSharesIdleMax: number
  /** Sessions, connected or not. */
  readonly sessionsMax: number

  /** Retained messages. */
  readonly retainedMessagesMax: number
  /** Payload, topic and property bytes of all retained messages. */
  readonly retainedBytesMax: number

  /** Will Delay Interval granted at most. */
  readonly willDelayMsMax: number
  /** User properties in one packet. */
  readonly userPropertiesMax: number
  /** Names and values of one packet's user properties. */
  readonly userPropertiesBytesMax: number
  /** Topic Alias Maximum that the server announces, and the most topic aliases that it sets for a client; the client's own maximum when that is lower. */
  readonly topicAliasesMax: number

  /** A Kafka request without its size prefix. */
  readonly kafkaRequestBytesMax: number
  /** Kafka requests read and not answered, over all connections. */
  readonly kafkaInFlightBytesMax: number
  /** Kafka requests of one connection that are not answered; then its socket is paused. */
  readonly kafkaPipelinedRequestsMax: number

  /** A record batch as it came, header included. Kafka's own default: 1 MiB behind offset and length. */
  readonly recordBatchBytesMax: number
  /** The records of one batch after decompression. */
  readonly decompressedBytesMax: number
  /** Decompressed bytes per compressed byte, for batches that decompress to more than `recordBatchBytesMax`. */
  readonly decompressionRatioMax: number

  /** Record bytes in one Fetch response, the first batch excepted (KIP-74). */
  readonly fetchBytesMax: number
  /** The longest that a Fetch waits for its minimum of bytes. */
  readonly fetchWaitMsMax: number
  /** Fetch sessions (KIP-227), over all clients: Kafka's `max.incremental.fetch.session.cache.slots`. A client without one sends and is sent all its partitions each time. */
  readonly kafkaFetchSessionsMax: number

  /** Members of one group. */
  readonly groupMembersMax: number
  /** Metadata of all its protocols, or the assignment, of one member. Kafka's bound of a message by default. */
  readonly groupMetadataBytesMax: number
  /** A group in memory: members, metadata, assignments, committed offsets and all names. */
  readonly groupBytesMax: number
  /** The shortest session timeout that a group member may ask for. */
  readonly groupSessionTimeoutMsMin: number
  /** The longest session timeout that a group member may ask for. */
  readonly groupSessionTimeoutMsMax: number

  /** Committed offsets of one group. Saving or hashing a thousand of them takes 0.7 ms. */
  readonly groupOffsetsMax: number
  /** The metadata of one committed offset, in UTF-16 units. */
  readonly groupOffsetMetadataLengthMax: number

  /** How long committed offsets are kept that no member of their group uses: Kafka's `offsets.retention.minutes`. */
  readonly groupOffsetsRetentionMs: number

  /** Transactional ids that are known, over all clients. For one more, the one without a transaction that is unused for longest is forgotten. */
  readonly transactionalIdsMax: number
  /** How long a transactional id is kept that nobody uses: Kafka's `transactional.id.expiration.ms`. */
  readonly transactionalIdExpirationMs: number
  /** The longest timeout that a transactional producer may ask for: Kafka's `transaction.max.timeout.ms`, which is 15 minutes there. Flink asks for an hour unless it is told otherwise. For so long an open transaction that is given up keeps readers of committed records waiting. */
  readonly transactionTimeoutMsMax: number
  /** Partitions and consumer groups of one transaction. Its end tells all of them in one turn. */
  readonly transactionPartitionsMax: number

  /** Streams of the catalog. */
  readonly streamsMax: number
  /** Partitions of one stream. */
  readonly partitionsPerStreamMax: number

  /** Connections of each HTTP listener. */
  readonly httpConnectionsMax: number
  /** The body of one HTTP request. */
  readonly httpBodyBytesMax: number
  /** From accept, or the answer before, to the end of a request's headers. */
  readonly httpHeadersTimeoutMs: number
  /** As above, to the end of the request. */
  readonly httpRequestTimeoutMs: number
  /** Live views of the journal's events, each an HTTP connection. */
  readonly httpEventTailsMax: number
  /** The most rows of a kind, such as partitions by size and partitions of groups by lag, that have series of their own in `/metrics`; the rest are summed. */
  readonly metricsRowsMax: number

  /** Bytes written to a connection that its peer has not read, at which it counts as slow. */
  readonly slowConsumerUnsentBytesMax: number
  /** How long a connection may be slow before it is closed. */
  readonly slowConsumerStallMs: number

  /** Writes stop when less than this and less than `diskReserveRatioMin` of the disk is free; reads and deletes go on. 0 in either: never. */
  readonly diskReserveBytesMin: number
  /** A share of the disk, 0 to 1: see `diskReserveBytesMin`. */
  readonly diskReserveRatioMin: number

  /** How far the machine's clock may be set ahead while the server runs before retention stops believing it. */
  readonly clockAheadMsMax: number
  /** For how long retention does not believe it then, and goes by the time that has passed. 0: it believes any clock. */
  readonly clockHoldMs: number

  /** Bytes of the commits that are not durable yet. */
  readonly commitInFlightBytesMax: number
  /** Commits that are not durable yet. */
  readonly commitsInFlightMax: number
  /** How long a commit may wait for more when the last one began less than this ago; 0 commits at once. */
  readonly commitPacingMs: number
  /** Bytes that are waiting at which a commit no longer waits. */
  readonly commitPacingBytesMax: number
  /** Commands in a shard's inbox; full means back-pressure on the sockets. */
  readonly inboxCommandsMax: number
  /** Newest records kept in memory per shard. */
  readonly tailBytesMax: number
  /** Size at which a segment is rolled, unless ten snapshots need more: then up to four times as much. */
  readonly segmentBytesMax: number
  /** Index entries of a segment at which it is rolled. */
  readonly segmentIndexEntriesMax: number
  /** The table of keys of a compaction, 24 bytes each of which a quarter stays free; a log with more is compacted in steps. */
  readonly compactionKeysBytesMax: number
  /** A page of a snapshot. */
  readonly snapshotPageBytesMax: number
  /** A record batch that the server makes for a reader out of the records of several commits. */
  readonly synthesisedBatchBytesMax: number
}

/** The limits that a server ships with. */
export const defaultLimits: Limits = {
  preAuthFrameBytesMax: 64 * kib,
  connectTimeoutMs: 5 * secondMs,
  authenticationTimeoutMs: 10 * secondMs,
  preAuthConnectionsMax: 1000,
  preAuthConnectionsPerAddressMax: 256,
  memoryBytesMax: 128 * mib,
  frameStallMs: 30 * secondMs,
  connectionsMax: 10_000,
  connectionsPerAddressMax: 10_000,
  newConnectionsPerSecondMax: 1000,
  refusalsToldMax: 100,
  mqttPacketBytesMax: 4 * mib,
  clientIdBytesMax: 256,
  topicBytesMax: 1024,
  topicLevelsMax: 32,
  subscriptionsPerSessionMax: 10_000,
  subscriptionsPerPacketMax: 10_000,
  receiveMaximum: 1024,
  inflightPerSessionMax: 32,
  offlineQueueMessagesMax: 1000,
  offlineQueueBytesMax: 16 * mib,
  sessionLogBytesMax: gib,
  sessionExpiryMsMax: 7 * dayMs,
  streamSharesIdleMax: 1000,
  sessionsMax: 100_000,
  retainedMessagesMax: 100_000,
  retainedBytesMax: 256 * mib,
  willDelayMsMax: hourMs,
  userPropertiesMax: 64,
  userPropertiesBytesMax: 8 * kib,
  topicAliasesMax: 32,
  kafkaRequestBytesMax: 16 * mib,
  kafkaInFlightBytesMax: 64 * mib,
  kafkaPipelinedRequestsMax: 5,
  recordBatchBytesMax: mib + 12,
  decompressedBytesMax: 16 * mib,
  decompressionRatioMax: 200,
  fetchBytesMax: 16 * mib,
  fetchWaitMsMax: 30 * secondMs,
  kafkaFetchSessionsMax: 1000,
  groupMembersMax: 1000,
  groupMetadataBytesMax: 1_048_588,
  groupBytesMax: 16 * mib,
  groupSessionTimeoutMsMin: 6 * secondMs,
  groupSessionTimeoutMsMax: 300 * secondMs,
  groupOffsetsMax: 20_000,
  groupOffsetMetadataLengthMax: 4096,
  groupOffsetsRetentionMs: 7 * dayMs,
  transactionalIdsMax: 40_000,
  transactionalIdExpirationMs: 7 * dayMs,
  transactionTimeoutMsMax: hourMs,
  transactionPartitionsMax: 1000,
  streamsMax: 10_000,
  partitionsPerStreamMax: 64,
  httpConnectionsMax: 1000,
  httpBodyBytesMax: mib,
  httpHeadersTimeoutMs: 10 * secondMs,
  httpRequestTimeoutMs: 30 * secondMs,
  httpEventTailsMax: 100,
  metricsRowsMax: 1000,
  slowConsumerUnsentBytesMax: mib,
  slowConsumerStallMs: 30 * secondMs,
  diskReserveBytesMin: gib,
  diskReserveRatioMin: 0.05,
  clockAheadMsMax: hourMs,
  clockHoldMs: dayMs,
  commitInFlightBytesMax: 16 * mib,
  commitsInFlightMax: 4,
  commitPacingMs: 5,
  commitPacingBytesMax: 64 * kib,
  inboxCommandsMax: 65_536,
  tailBytesMax: 32 * mib,
  segmentBytesMax: 128 * 1_000_000,
  segmentIndexEntriesMax: 4_000_000,
  compactionKeysBytesMax: 64 * mib,
  snapshotPageBytesMax: 256 * kib,
  synthesisedBatchBytesMax: 64 * kib
}

/** A string or binary value of MQTT: its length has two bytes. */
const mqttFieldBytesMax = 65_535
/** Lengths of a header's name and of its value. */
const headerFramingBytesMax = 2 * 5
/** A record's own fields, nine headers' names with the numbers in them, and a client id that the server gave, as header and key. */
const fixedOverheadBytesMax = 512

/** The most bytes that a record takes beside its payload, whatever an MQTT message within these limits has. */
export const recordOverheadBytesMax = (limits: Limits): number => {
  const { topicBytesMax, clientIdBytesMax, userPropertiesMax, userPropertiesBytesMax } = limits
  const keyBytesMax = Math.max(topicBytesMax, clientIdBytesMax, Math.min(userPropertiesBytesMax, mqttFieldBytesMax))
  const userPropertyHeadersBytesMax = userPropertiesBytesMax + userPropertiesMax * headerFramingBytesMax
  const contentTypeResponseTopicAndCorrelationData = 3 * mqttFieldBytesMax
  return (
    topicBytesMax +
    clientIdBytesMax +
    keyBytesMax +
    userPropertyHeadersBytesMax +
    contentTypeResponseTopicAndCorrelationData +
    fixedOverheadBytesMax
  )
}
