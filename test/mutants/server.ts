import { inPackage } from "./Mutant.ts"

/** In the shells of both protocols: what is answered when, limits, codes; and retention, the disk's reserve, the gate. */
export const serverMutants = inPackage("server", {
  "mqtt/MqttConnection.ts": {
    tests: ["mqtt/keepAlive.test.ts", "mqtt/badInput.test.ts", "mqtt/segments.test.ts", "limits/mqttLimits.test.ts"],
    faults: [
      ["keep alive ends after twice its time", "this.keepAliveMs * 1.5", "this.keepAliveMs * 2"],
      ["keep alive ends after its time", "this.keepAliveMs * 1.5", "this.keepAliveMs"],
      [
        "a connection without CONNECT stays",
        "if (nowMs - this.#acceptedMs >= connectTimeoutMs) {",
        "if (nowMs - this.#acceptedMs >= 1e9) {"
      ],
      [
        "half a packet may wait for ever",
        "nowMs - this.#packetSinceMs >= frameStallMs",
        "nowMs - this.#packetSinceMs >= 1e9"
      ],
      [
        "what was read behind a SUBSCRIBE that waits overtakes it",
        "if (this.#held !== undefined) this.#hold(packet)\n    else if",
        "if"
      ],
      [
        "bytes that may not be end a connection before what waits is answered",
        "else if (this.#holds) this.#heldEnd ??= () => this.violated(error)",
        'else if (this.#phase === "opening") this.#heldEnd ??= () => this.violated(error)'
      ]
    ]
  },
  "mqtt/Outgoing.ts": {
    tests: [
      "mqtt/packetSize.test.ts",
      "mqtt/durableFirst.test.ts",
      "mqtt/redelivery.test.ts",
      "mqtt/sessions.test.ts",
      "mqtt/aliasedDeliveries.test.ts"
    ],
    faults: [
      [
        "an alias stands for a topic that the client was not told",
        "return alias.isKnown ? TopicForm.Alias : TopicForm.TopicAndAlias",
        "return TopicForm.Alias"
      ],
      [
        "an alias makes a packet larger than its client takes it",
        "if (encoded.byteLength > packetSizeMax) {",
        "if (encoded.byteLength > 1e9) {"
      ],
      [
        "a message a byte over Maximum Packet Size is sent",
        ".byteLength <= packetSizeMax)",
        ".byteLength <= packetSizeMax + 1)"
      ],
      [
        "a message of exactly Maximum Packet Size is dropped",
        ".byteLength <= packetSizeMax)",
        ".byteLength < packetSizeMax)"
      ],
      [
        "QoS 2 is sent before its packet id is durable",
        "const isHeld = qos === 2 || this.#held > 0",
        "const isHeld = false"
      ],
      [
        "PUBREL comes before PUBREC is durable",
        'else if (inflight.isQueued) this.#batch("Received").packetIds.push(packetId)',
        'else if (inflight.isQueued) {\n      this.#batch("Received").packetIds.push(packetId)\n      this.#release(packetId)\n    }'
      ],
      ["what is sent again has no DUP", "packetId, true)\n    else", "packetId, false)\n    else"],
      [
        "a QoS 2 message that cannot come again frees its packet id",
        "if (!canBeSent && qos < 2) {",
        "if (!canBeSent) {"
      ],
      [
        "a packet id that is in use is given again",
        "while (this.#inflight.has(this.#lastPacketId))",
        "while (this.#lastPacketId < 1)"
      ]
    ]
  },
  "mqtt/Incoming.ts": {
    tests: [
      "mqtt/durableFirst.test.ts",
      "mqtt/publish.test.ts",
      "mqtt/sessions.test.ts",
      "mqtt/badInput.test.ts",
      "mqtt/options.test.ts"
    ],
    faults: [
      ["a message above Maximum QoS is taken", "if (qos > maximumQos) {", "if (qos > 2 + maximumQos) {"],
      [
        "a message is retained though none may be",
        "if (retain && !retainAvailable) throw",
        "if (retain && !retainAvailable && qos > 2) throw"
      ],
      [
        "a topic alias over the maximum passes",
        "if (alias > this.#connection.mqtt.broker.limits.topicAliasesMax) {",
        "if (alias > 65_535) {"
      ],
      ["an alias that was never set is an empty topic", "if (known === undefined) throw", 'if (known === "") throw'],
      [
        "PUBREL of an unknown packet id is answered as known",
        "if (!this.#unreleased.delete(packetId)) {",
        "if (!this.#unreleased.delete(packetId) && packetId === 0) {"
      ],
      [
        "Receive Maximum is passed by one",
        "if (this.#unreleased.size < this.#unreleasedMax) return",
        "if (this.#unreleased.size <= this.#unreleasedMax) return"
      ],
      [
        "a socket is read on whatever waits for its commit",
        "return this.#unanswered >= this.#unansweredMax",
        "return false"
      ]
    ]
  },
  "mqtt/SessionDirectory.ts": {
    tests: ["mqtt/subscribe.test.ts", "mqtt/memory.test.ts"],
    faults: [
      ["a subscription over the limit is served", "view.matched >= this.#subscriptionsMax", "view.matched < 0"],
      [
        "a subscription that the journal did not take stays",
        "if (isWrong) this.#correct(",
        "if (isWrong && at < 0) this.#correct("
      ],
      [
        "a subscription that was over the limit when it was read is granted and not matched",
        "const isWrong = isRefused(at) || unanswered.isThere !== view.subscriptions.has(filter)",
        "const isWrong = isRefused(at)"
      ],
      [
        "a filter that was read last is that of the journal",
        "if (view.unanswered?.has(filter) !== true) this.#match(",
        "this.#match("
      ]
    ]
  },
  "mqtt/RetainedFeed.ts": {
    tests: ["mqtt/subscribe.test.ts", "mqtt/durableReads.test.ts", "mqtt/retainedFeed.test.ts"],
    faults: [
      [
        "a message that is being replaced is taken for the newest",
        "taken.filter(({ isStill }) => Exit.isSuccess(answerOf(answer, isStill)))",
        "taken"
      ],
      ["what is set behind SUBSCRIBE comes again as retained", "seq > doneSeq && seq < beforeSeq", "seq > doneSeq"],
      ["a session that is back gets all that is retained anew", "seq > doneSeq && seq < beforeSeq", "seq < beforeSeq"]
    ]
  },
  "net/Arrivals.ts": {
    tests: ["net/proxied.test.ts"],
    faults: [
      [
        "a connection counts as the load balancer's",
        "if (!arrival.admission.movesTo(address)) {",
        'if (address === "") {'
      ],
      [
        "what comes with the header is lost",
        "if (rest.length > 0) receive(rest)",
        "if (rest.length < 0) receive(rest)"
      ],
      [
        "a stop waits for headers",
        "for (const socket of this.#waiting) socket.destroy()",
        "for (const socket of this.#waiting) socket.pause()"
      ]
    ]
  },
  "net/tls/Handshakes.ts": {
    tests: ["net/tls/listeners.test.ts"],
    faults: [
      ["a bad certificate is taken where none is needed", "if (!socket.authorized)", "if (socket.destroyed)"],
      [
        "clients without a certificate come in where one is required",
        'rejectUnauthorized: clientCertificates === "required"',
        "rejectUnauthorized: false"
      ],
      [
        "a socket whose TLS is broken stays open",
        'socket.on("error", () => socket.destroy())',
        'socket.on("error", () => undefined)'
      ],
      ["a handshake whose client has gone stays", "socket.allowHalfOpen = false", "socket.allowHalfOpen = true"],
      ["a new certificate is for nobody", "this.#server.setSecureContext(context)", "void context"]
    ]
  },
  "net/tls/Credentials.ts": {
    tests: ["net/tls"],
    faults: [
      [
        "a key need not be that of its certificate",
        "if (!certificate.checkPrivateKey(",
        "if (certificate.ca && !certificate.checkPrivateKey("
      ],
      [
        "a changed file is loaded before its fellow has changed",
        "else if (stamp !== this.#changed) this.#changed = stamp",
        "else if (stamp === this.#changed) this.#changed = stamp"
      ],
      [
        "clients renegotiate as often as they like",
        "secureOptions: constants.SSL_OP_NO_RENEGOTIATION",
        "secureOptions: constants.SSL_OP_ALL"
      ]
    ]
  },
  "net/tls/principalOf.ts": {
    tests: ["net/tls/principalOf.test.ts"],
    faults: [
      ["a client is anonymous by its own word", "if (name === anonymous.name)", 'if (name === "")'],
      ["a name writes into the log", "if (!isPrintable(name))", "if (name.length > nameCharactersMax)"]
    ]
  },
  "mqtt/TopicAliases.ts": {
    tests: ["mqtt/TopicAliases.test.ts"],
    faults: [
      [
        "an alias above the client's maximum is given",
        "if (this.#all.length < this.#max) {",
        "if (this.#all.length <= this.#max) {"
      ],
      [
        "a topic that is used gives way to one that comes once",
        "if (other.isUsed) other.isUsed = false\n    else this.#set(at, topic)",
        "this.#set(at, topic)"
      ],
      [
        "two topics have one alias",
        "if (before !== undefined) this.#byTopic.delete(before.topic)",
        "if (before !== undefined && at < 0) this.#byTopic.delete(before.topic)"
      ]
    ]
  },
  "mqtt/SysTopics.ts": {
    tests: ["mqtt/sysTopics.test.ts"],
    faults: [
      [
        "a figure that has not changed is published again",
        "if (this.#told.get(topic)?.text === text) return []",
        'if (text === "") return []'
      ],
      [
        "the first figures stay until somebody else reads them",
        "if (isOld) this.#refresh()",
        "if (isOld && this.#told.size === 0) this.#refresh()"
      ],
      ["figures are retained where nobody asked", "retain: false", "retain: true"]
    ]
  },
  "mqtt/handshake.ts": {
    tests: ["mqtt"],
    faults: [
      [
        "a client without a keep alive has none",
        "return keepAliveSeconds === 0 ? keepAliveSMax : Math.min(keepAliveSeconds, keepAliveSMax)",
        "return Math.min(keepAliveSeconds, keepAliveSMax)"
      ],
      [
        "a retained will is taken though nothing is retained",
        "if (retain && !options.retainAvailable) {",
        "if (retain && options.sysIntervalS < 0) {"
      ],
      ["a will above Maximum QoS is taken", "if (qos > options.maximumQos) {", "if (qos > 2 + options.maximumQos) {"],
      [
        "a client id is several levels of a response topic",
        "clientId.replaceAll(/[%/+#]/g, encodeURIComponent)",
        "clientId"
      ],
      [
        "a session lasts as long as its client says",
        "Math.min((connect.properties.sessionExpiryIntervalSeconds ?? 0) * secondMs, sessionExpiryMsMax)",
        "(connect.properties.sessionExpiryIntervalSeconds ?? 0) * secondMs"
      ],
      [
        "a will waits for as long as its client says",
        "Math.min((properties.willDelayIntervalSeconds ?? 0) * secondMs, delayMsMax)",
        "(properties.willDelayIntervalSeconds ?? 0) * secondMs"
      ],
      ["Clean Session 0 of MQTT 3.1.1 is forgotten", "return connect.cleanStart ? 0 : sessionExpiryMsMax", "return 0"]
    ]
  },
  "mqtt/Subscriptions.ts": {
    tests: ["mqtt"],
    faults: [
      ["overlapping subscriptions give the lowest QoS", "qos: Math.max(", "qos: Math.min("],
      ["No Local is passed over", "entries.filter(({ subscription }) => !subscription.noLocal)", "entries.slice()"],
      [
        "a subscription that has ended is still served",
        "remove(clientId: string, filter: string): boolean {\n    this.#forgetPlans()",
        "remove(clientId: string, filter: string): boolean {"
      ],
      ["a shared subscription has one member only", "(this.#turn + tried) % order.length", "0"],
      [
        "the member with the most to do is chosen",
        "if (load >= least) continue\n      chosen = match\n      chosenId",
        "if (load <= least && tried > 1) continue\n      chosen = match\n      chosenId"
      ]
    ]
  },
  "kafka/FetchPartition.ts": {
    tests: ["kafka/fetch.test.ts"],
    faults: [
      [
        "an unknown epoch is ignored",
        "end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset",
        "end.endOffset >= 0 && end.endOffset < fetchOffset"
      ],
      [
        "an offset above the high watermark is read",
        "fetchOffset <= this.log.highWatermark",
        "fetchOffset <= this.log.highWatermark + 1"
      ],
      ["an offset below the log's start is read", "fetchOffset >= this.log.startOffset &&", "fetchOffset >= 0 &&"]
    ]
  },
  "kafka/FetchSession.ts": {
    tests: ["kafka/FetchSessions.test.ts"],
    faults: [
      ["a new high watermark is no news", "highWatermark !== this.#highWatermark ||", ""],
      ["a new log start is no news", "logStartOffset !== this.#logStartOffset ||", ""],
      ["an error is told once", "errorCode !== noError ||", ""],
      [
        "a partition with records is read first again",
        "if (found.records.length > 0) {",
        "if (found.records.length > 1e9) {"
      ],
      ["what is asked of a partition stays", "    this.fetchOffset = fetchOffset\n", ""]
    ]
  },
  "kafka/FetchSessions.ts": {
    tests: ["kafka/FetchSessions.test.ts"],
    faults: [
      ["any epoch passes", "if (session.epoch !== sessionEpoch) return", "if (session.epoch < sessionEpoch) return"],
      ["a session is closed by nobody", "if (session !== undefined) this.#remove(session)", ""],
      [
        "any session gives way",
        "const isOld = session.lastUsedMs - session.createdMs > evictionMs",
        "const isOld = true"
      ],
      ["memory bounds no session", ' && weightBytes <= this.#memory.room("fetches")', ""]
    ]
  },
  "kafka/leaderEpochs.ts": {
    tests: ["kafka/leaderEpochs.test.ts"],
    faults: [
      ["an epoch ends with the log", "epochs[next]?.startOffset ?? log.highWatermark", "log.highWatermark"],
      ["an old leader epoch is unknown", "currentLeaderEpoch < shard.epoch ?", "currentLeaderEpoch > shard.epoch ?"],
      ["an epoch that never was has an end", "leaderEpoch < 0 || leaderEpoch > shard.epoch", "leaderEpoch < 0"]
    ]
  },
  "kafka/handlers/00_Produce.ts": {
    tests: ["kafka/produce.test.ts"],
    faults: [
      ["any acks pass", "acks === -1 || acks === 0 || acks === 1 ?", "acks > -100 ?"],
      [
        "zstd passes before version 7",
        'if (batch.codec === "zstd" && version < zstdVersionMin) {',
        'if (batch.codec === "zstd" && version < 0) {'
      ],
      [
        "two batches of one partition pass",
        "if (bytes === undefined || more !== undefined) {",
        "if (bytes === undefined) {"
      ],
      [
        "records are taken on a full disk",
        "if (node.broker.disk.isLow) {",
        "if (node.broker.disk.isLow === undefined) {"
      ],
      [
        "a batch is taken for the first behind one that was refused",
        "return sentBatches.admits(logId, batch) ? undefined : refused(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER)",
        "return undefined"
      ],
      [
        "a partition's fault lets the batch behind it be the first",
        "const isBehind = context.sentBatches.asks(logId, batch)",
        "const isBehind = false"
      ],
      ["acks 0 is answered", "const isSilent = acks === 0", "const isSilent = acks === 2"],
      ["an error of acks 0 is told to nobody", "hangsUp: isSilent && hasFailed", "hangsUp: false"]
    ]
  },
  "kafka/transactionalAppends.ts": {
    tests: ["kafka/transactionalProduce.test.ts"],
    faults: [
      ["a partition takes what its coordinator refuses", "command, [added])", "command)"],
      ["a producer of version 1 adds what it writes", "version >= addsPartitionVersionMin ?", "version > 0 ?"]
    ]
  },
  "kafka/transactionErrors.ts": {
    tests: ["kafka/transactionErrors.test.ts", "kafka/transactions.test.ts", "kafka/transactionalProduce.test.ts"],
    faults: [
      ["a fenced producer is told its coordinator's code", "const never = Infinity", "const never = 0"],
      ["clients are told codes that they do not know", "version < knownFrom ? before", "version < 0 ? before"]
    ]
  },
  "kafka/handlers/01_Fetch.ts": {
    tests: ["kafka/fetch.test.ts", "kafka/incrementalFetch.test.ts", "kafka/settledFetch.test.ts"],
    faults: [
      [
        "what the server has compressed goes to every client",
        "const readsZstd = this.#version >= zstdVersionMin && this.#context.readsZstd",
        "const readsZstd = true"
      ],
      [
        "what the server has compressed goes to no client",
        "const readsZstd = this.#version >= zstdVersionMin && this.#context.readsZstd",
        "const readsZstd = false"
      ],
      [
        "a batch that does not fit any more is sent",
        "if (next === 0 || (!isFirst && next + batchHeaderBytes > roomBytes)) return []",
        "if (next === 0) return []"
      ],
      [
        "an answer of an epoch that is over is told",
        "opened.session.epoch !== opened.epoch",
        "opened.session.epoch < opened.epoch"
      ],
      ["a follower may fetch", "  if (replica >= 0) {", "  if (replica >= 1e9) {"]
    ]
  },
  "kafka/errors.ts": {
    tests: ["kafka"],
    faults: [
      [
        "an old generation is an unknown member",
        "IllegalGeneration: KafkaError.ILLEGAL_GENERATION",
        "IllegalGeneration: KafkaError.UNKNOWN_MEMBER_ID"
      ],
      [
        "a corrupt batch is an invalid record",
        "CorruptMessage: KafkaError.CORRUPT_MESSAGE",
        "CorruptMessage: KafkaError.INVALID_RECORD"
      ],
      [
        "a stream that exists is an unknown error",
        "StreamExists: KafkaError.TOPIC_ALREADY_EXISTS",
        "StreamExists: KafkaError.UNKNOWN_SERVER_ERROR"
      ]
    ]
  },
  "Retention.ts": {
    tests: [
      "sessionLog.test.ts",
      "deletedStreams.test.ts",
      "history.test.ts",
      "kafka/topics.test.ts",
      "retentionClock.test.ts"
    ],
    faults: [
      [
        "records expire by the machine's clock, also when it runs away",
        "const nowMs = this.clock.nowMs()",
        "const nowMs = this.#broker.clock.nowMs()"
      ],
      [
        "that the clock ran away is journaled nowhere",
        '      offer({ _tag: "HoldClock", aheadMs, retentionAtMs })\n',
        ""
      ],
      [
        "the log of what waits for sessions never expires",
        "if (shards.isOwnLog(logId)) {",
        "if (shards.isOwnLog(-logId)) {"
      ],
      ["history is kept while the disk is tight", "bytes <= historyBytes && !disk.isTight", "bytes <= historyBytes"]
    ]
  },
  "RetentionClock.ts": {
    tests: ["retentionClock.test.ts"],
    faults: [
      [
        "a clock that runs away is believed",
        "clockHoldMs > 0 && this.aheadMs > clockAheadMsMax",
        "clockHoldMs > 0 && this.aheadMs > Infinity"
      ],
      ["a hold of 0 holds", "clockHoldMs > 0 && this.aheadMs", "this.aheadMs"],
      [
        "a clock that is ahead is never believed",
        'if (atMs - this.#heldSinceMs >= this.#limits.clockHoldMs) this.#believe("time")',
        ""
      ],
      [
        "a clock runs away in small steps",
        "Math.min(Math.max(this.aheadMs, 0), elapsedMs * drift)",
        "Math.max(this.aheadMs, 0)"
      ],
      ["a clock that is trimmed runs away in the end", "const drift = 0.01", "const drift = 0"],
      [
        "a restart believes the clock that was held",
        "heldAtMs ?? Math.max(clock.nowMs(), lastTimeMs ?? -Infinity)",
        "Math.max(clock.nowMs(), lastTimeMs ?? -Infinity)"
      ],
      [
        "a clock that comes back from 1970 is held",
        "Math.max(clock.nowMs(), lastTimeMs ?? -Infinity)",
        "clock.nowMs()"
      ],
      ["an operator is not believed", '    this.#believe("operator")\n', ""]
    ]
  },
  "streams/forgetDeletedStreams.ts": {
    tests: ["deletedStreams.test.ts", "http/HttpServer.test.ts"],
    faults: [
      [
        "logs of a deleted stream stay",
        '  for (const to of logIds.map(partitionActor)) lists.of(to).add(to, { _tag: "DeleteLog" })\n',
        ""
      ],
      [
        "offsets of a deleted stream stay",
        "if (hasOffsetsOf(group, topicId))",
        "if (hasOffsetsOf(group, `${topicId}.`))"
      ],
      [
        "offsets that were under way when their stream was deleted stay",
        "shards.ack({ acked: () => forget(shards, notice, cause) }, 0, undefined, 0)",
        "forget(shards, notice, cause)"
      ],
      [
        "a deletion is confirmed though a log is still there",
        '{ _tag: "ConfirmDeletion", topicId }, list.all)',
        '{ _tag: "ConfirmDeletion", topicId })'
      ]
    ]
  },
  "net/ConnectionGate.ts": {
    tests: ["net"],
    faults: [
      [
        "one connection more than allowed is taken",
        "this.open >= limits.connectionsMax ||",
        "this.open > limits.connectionsMax ||"
      ],
      [
        "an address has any number of connections",
        "held.open < limits.connectionsPerAddressMax &&",
        "held.open < Infinity &&"
      ],
      ["connections come at any rate", 'this.#newOnes.isUsedUp ? "rate"', 'false ? "rate"'],
      ["any number of connections waits to be told", "this.told >= this.#limits.refusalsToldMax", "false"],
      ["any number of connections is told in a second", "this.#newTold.isUsedUp", "false"],
      ["one that is told keeps a place", "this.#leave()\n    this.#excess", "this.#excess"],
      ["an address that has left stays", "if (held.open === 0) this.#perAddress.delete(remoteAddress)", ""]
    ]
  },
  "mqtt/MountPoint.ts": {
    tests: ["mqtt/mountPoint.test.ts"],
    faults: [
      [
        "a topic with $ in front is below a mount point",
        'mountPoint !== "" && topic.charCodeAt(0) === dollar',
        "false"
      ],
      ["a stream is read beyond the mount point", 'levels.length === 0 ? "#"', 'levels.length === 0 ? ".."'],
      ["a client has the topic above its mount point", 'filter === "#" ? "+/#" : filter', "filter"],
      ["a client sees its mount point", "topic.slice(mountPoint.length)", "topic"],
      ["a client has topics that it could not name", 'own === "" || isOutside(mountPoint, own)', "false"],
      ["a filter without a stream's name becomes one", "name && own ?", "true ?"]
    ]
  },
  "mqtt/authentication/Authentication.ts": {
    tests: ["mqtt/authentication.test.ts"],
    faults: [
      ["AUTH may come at any time", 'this.#state !== (isAnew ? "known" : "waiting")', "false"],
      ["AUTH may name another method", "authenticationMethod !== this.#method.name", "false"],
      ["a client becomes another one", "principal.name === this.#principal?.name", "true"],
      ["packets pass before authentication", 'if (packet._tag === "Auth") {', "if (true) {"]
    ]
  },
  "net/ListenerGate.ts": {
    tests: ["net"],
    faults: [
      ["a listener has any number of connections", "this.open >= this.#limits.connectionsMax", "this.open >= Infinity"],
      ["a connection that moves counts as of its first address", "this.#count(to, 1)", ""]
    ]
  },
  "net/listen.ts": {
    tests: ["net/listen.test.ts"],
    faults: [
      ["two servers take over one path", "({ isOurs }) => isOurs", "() => true"],
      ["a Unix socket is others' before it has its mode", "process.umask(0o077)", "process.umask(0o22)"],
      ["a Unix socket never has its mode", "fs.chmodSync(path, mode)", "undefined"],
      ["files have another mode from then on", "process.umask(before)", ""]
    ]
  },
  "DiskGuard.ts": {
    tests: ["DiskGuard.test.ts"],
    faults: [
      ["what is written is not counted between two checks", "this.freeBytes -= 2 * bytes", ""],
      [
        "a small disk is full from the start",
        "Math.min(this.#limits.diskReserveBytesMin, ",
        "Math.max(this.#limits.diskReserveBytesMin, "
      ]
    ]
  },
  "tools/checkJournal.ts": {
    tests: ["tools"],
    faults: [
      ["verify is content with nothing to compare", "ok: failure === null && hashes > 0,", "ok: failure === null,"],
      ["verify passes over a hash that differs", "        mismatch ??= each\n", ""]
    ]
  }
})
