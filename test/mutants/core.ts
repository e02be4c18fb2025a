import { inPackage } from "./Mutant.ts"

/** In the journal, storage, settling, compaction, the shard's runtime, backups, and the records themselves. */
export const coreMutants = inPackage("core", {
  "journal/Frame.ts": {
    tests: ["journal/Frame.test.ts"],
    faults: [
      [
        "a frame's checksum is not compared",
        "frame.length < headerBytes || frame.readUInt32LE(0) !== crc32c(frame.subarray(4))",
        "frame.length < headerBytes"
      ],
      ["a frame of a later format is read", "format > frameFormat.strippedZstd) {", "format > 250) {"],
      [
        "small records never leave the frame",
        "if (this.#small.length + staged.bytes.length > chunkBytesMax) this.#cutChunk()",
        ""
      ],
      [
        "an event's cause is one seq off",
        "cause.seq === undefined ? 0 : seq - cause.seq",
        "cause.seq === undefined ? 0 : seq - cause.seq + 1"
      ],
      [
        "a batch is stored under its first offset",
        "lastOffset: staged.baseOffset + staged.count - 1",
        "lastOffset: staged.baseOffset"
      ],
      ["a frame ends one seq early", "nextSeq: firstSeq + entries,", "nextSeq: firstSeq + entries - 1,"],
      ["small records are looked for at another place", "{ ...ref, position: ref.position + smallStart }", "ref"]
    ]
  },
  "journal/SegmentChain.ts": {
    tests: ["journal/LmdbJournal.test.ts", "journal/MemoryJournal.test.ts"],
    faults: [
      [
        "a roll does not wait for what is in flight",
        "(this.#rollDue() && this.#inFlight > 0)) this",
        "(this.#rollDue() && this.#inFlight > 1000)) this"
      ],
      [
        "a segment never ends by its references",
        "bytes >= this.#rollBytes || refs >= this.#options.segmentRefsMax",
        "bytes >= this.#rollBytes"
      ],
      ["a journal that failed goes on", "this.#poison ??= { reason, detail }", ""],
      ["a snapshot may know more than the wanted seq", "found.every((page) => page.seq <= atSeq)", "found.length >= 0"],
      ["the last segment may be dropped", "if (this.#chain.length < 2 ||", "if (this.#chain.length < 1 ||"],
      [
        "pages of a snapshot are looked for in its own segment only",
        "for (let i = sealedIn; i >= 0 && page === undefined; i--)",
        "for (let i = sealedIn; i >= sealedIn && page === undefined; i--)"
      ],
      [
        "a scan begins with a frame that has ended before",
        "const isWanted = (frame: Buffer, key: Seq) => key !== floor || readFrameHead(frame).nextSeq > wantedSeq",
        "const isWanted = (_frame: Buffer, _key: Seq) => wantedSeq >= 0"
      ]
    ]
  },
  "journal/LmdbJournal.ts": {
    tests: ["journal", "crashStates"],
    faults: [
      [
        "a new segment's name is not synced",
        "this.spares.take())\n    syncDirectory(this.#directory)",
        "this.spares.take())"
      ],
      [
        "a file that takes the place of others is not synced by its name",
        "      syncDirectory(this.#directory)\n      return LmdbSegment.open",
        "      return LmdbSegment.open"
      ],
      ["the lock is not let go of at the end", "    releaseLock(this.#directory)\n    await", "    await"]
    ]
  },
  "journal/LmdbSegment.ts": {
    tests: ["journal", "doctor", "settle/settle.test.ts"],
    faults: [
      [
        "a snapshot's page is read whatever its checksum",
        "value.readUInt32LE(0) !== snapshotCrc(fromSeq, index, value)) return undefined\n  return { seq",
        "value.length < 0) return undefined\n  return { seq"
      ],
      [
        "a refused write counts as done",
        "return (await put(key as never)) && table.doesExist(key as never)",
        "return (await put(key as never)), true"
      ],
      ["an unknown format is read", "if (formatsRead.includes(format)) return", "if (format !== null) return"]
    ]
  },
  "journal/SpareFiles.ts": {
    tests: ["journal/SpareFiles.test.ts", "backup/pins.test.ts"],
    faults: [
      [
        "a file of any size is used again",
        "size >= this.#segmentBytes / 2 && size <= this.#segmentBytes * 2",
        "size >= 0"
      ],
      ["any number of files is kept", "if (this.#files.length >= filesMax ||", "if (this.#files.length >= 1000 ||"],
      ["a file that a backup reads is used again", "return nlink === 1 && size", "return nlink > 0 && size"]
    ]
  },
  "journal/segmentFiles.ts": {
    tests: ["journal", "backup", "settle/leftovers.test.ts", "crashStates"],
    faults: [
      ["a file is cut before its name is gone for good", "    await syncDirectoryAside(path.dirname(file))\n", ""],
      ["a file that a backup reads is cut", "    if (nlink > 0) return\n", ""],
      [
        "what a crash left of a settling stays",
        "if (temporaryPattern.test(name) || isLeftLock(name)) fs",
        "if (isLeftLock(name)) fs"
      ],
      [
        "a lock that a crash left stays",
        "if (temporaryPattern.test(name) || isLeftLock(name)) fs",
        "if (temporaryPattern.test(name)) fs"
      ]
    ]
  },
  "journal/segmentNames.ts": {
    tests: ["journal/segmentNames.test.ts"],
    faults: [
      ["an older revision counts", "b.revision - a.revision)", "a.revision - b.revision)"],
      [
        "a merged file does not cover its sources",
        "each.lastNumber <= (live.at(-1)?.lastNumber ?? -1)",
        "each.number <= (live.at(-1)?.number ?? -1)"
      ]
    ]
  },
  "journal/Occupancy.ts": {
    tests: ["journal/Occupancy.test.ts"],
    faults: [
      ["who has looked keeps the directory in use", "if (pids.length > 0) {", "if (pids.length > 100) {"],
      ["a damaged file of nothing stops every start", "if (fs.existsSync(file)) renewIfDamaged(file)\n", ""]
    ]
  },
  "journal/lock.ts": {
    tests: ["journal/lock.test.ts"],
    faults: [["a directory may have two writers", "if (!taken.isOurs) throw inUse(directory, taken.pid)", ""]]
  },
  "FileLock.ts": {
    tests: ["FileLock.test.ts"],
    faults: [
      [
        "a lock is taken from a process that lives",
        'if (state === "held") return { isOurs: false, pid }\n      if (text',
        "if (text"
      ],
      [
        "a process that was started later counts as the holder",
        "pid > 0 && identity(pid) === holder ? ",
        "pid > 0 && identity(pid) !== undefined ? "
      ],
      ["another's lock is released", "if (text === own || text === own + takenOver) fs", "if (text !== undefined) fs"],
      [
        "two unclean ends in a row are not noticed",
        'lastEnd = hadTakenOver ? "uncleanAgain" : "unclean"',
        'lastEnd = "unclean"'
      ]
    ]
  },
  "storage/LogIndex.ts": {
    tests: ["storage"],
    faults: [
      [
        "an offset is found in the run before",
        "if (this.#endOffset(middle) > offset) high = middle",
        "if (this.#endOffset(middle) >= offset) high = middle"
      ],
      ["retention by size keeps one batch too few", "left - this.#byteLength(i) >= bytes) left", "left >= bytes) left"],
      [
        "bytes that are dropped are still counted",
        "for (let i = 0; i < dropped; i++) this.byteLength -= this.#byteLength(i)",
        ""
      ],
      [
        "a batch without times never expires",
        "(newestMs >= 0 ? newestMs : writtenMs(this.#frameSeq(i)))",
        "(newestMs >= 0 ? newestMs : Infinity)"
      ],
      [
        "of equal times the last is the highest",
        "this.#maxTimestampMs(i) > this.#maxTimestampMs(found)) found = i",
        "this.#maxTimestampMs(i) >= this.#maxTimestampMs(found)) found = i"
      ],
      [
        "runs that take a place are added to it",
        "for (let i = first; i < end; i++) this.byteLength -= this.#byteLength(i)",
        ""
      ]
    ]
  },
  "storage/LogReader.ts": {
    tests: ["storage"],
    faults: [
      ["batches are joined over an epoch", "      run.epoch === first.epoch &&\n", ""],
      [
        "batches are joined over a gap",
        "      run.baseOffset === nextOffset\n",
        "      run.baseOffset >= nextOffset\n"
      ],
      [
        "a second batch goes beyond the bytes that are asked for",
        "if (batches.length > 0 && bytes + batchBytes > bytesMax) break",
        "if (bytes > bytesMax) break"
      ],
      [
        "a record is found by its batch's time",
        "if (recordMs >= timestampMs) found",
        "if (recordMs > timestampMs) found"
      ],
      ["records below the log's start are found", "if (offset >= startOffset && !visit(", "if (!visit("],
      [
        "a batch counts as checked on the disk when it was read in memory",
        "if (!isInTail) log.index.noteChecked(at)",
        "log.index.noteChecked(at)"
      ],
      [
        "a run counts as checked while its segment's first commit is in memory",
        'const isInTail = located.place !== "run" && ',
        "const isInTail = "
      ],
      [
        "a run of which nothing has room is read",
        "if (isOneBatch && batches.length > 0 &&",
        "if (batches.length < 0 &&"
      ],
      ["a buffer is as long as all that is read", "Math.min(target.leftBytes, bufferBytesMax)", "target.leftBytes"],
      ["a buffer is longer than what is asked for", "Math.min(target.leftBytes, bufferBytesMax)", "bufferBytesMax"],
      ["what the server unpacks for a client is checked once only", "isPassedOn && isAsStored", "isPassedOn"],
      ["readers that look into batches get them checked once only", "isOnce && wasChecked", "wasChecked"]
    ]
  },
  "storage/Log.ts": {
    tests: ["storage", "shard"],
    faults: [
      ["a log's start goes back", "this.startOffset = Math.max(this.startOffset, offset)", "this.startOffset = offset"],
      [
        "a log that is empty begins at 0 again",
        "    this.highWatermark = Math.max(this.highWatermark, nextOffset)\n",
        ""
      ],
      ["a log forgets its leader epochs with a start", "    this.epochs = epochs\n", "    this.epochs = []\n"]
    ]
  },
  "storage/Tail.ts": {
    tests: ["storage"],
    faults: [
      [
        "commits in memory are never given up",
        "while (this.#bytes > this.#bytesMax) {",
        "while (this.#bytes > this.#bytesMax * 1000) {"
      ]
    ]
  },
  "actor/LogEvents.ts": {
    tests: ["shard/View.test.ts", "shard/ActorTable.test.ts"],
    faults: [
      ["an epoch begins with each batch", "epochs.at(-1)?.epoch === epoch ? epochs :", "epochs.length < 0 ? epochs :"]
    ]
  },
  "shard/ActorTable.ts": {
    tests: ["shard/View.test.ts", "shard/ActorTable.test.ts"],
    faults: [
      [
        "a view shows what is not durable",
        "(ahead === undefined ? this.#newest(actor) : ahead.state)",
        "this.#newest(actor)"
      ],
      [
        "a view goes ahead with the first of several commits",
        "    if (--known.turns === 0) this.#durable.delete(id)\n",
        "    this.#durable.delete(id)\n"
      ],
      ["a view stays behind its commits", "    known.state = after\n", ""],
      [
        "a view forgets an actor before its last commit is durable",
        "if (id.startsWith(prefix) && !this.#live.has(id) && !this.#passive.has(id)) found",
        "if (id === prefix) found"
      ],
      ["a view shows what was lost with a turn", "    this.#durable = new Map()\n", ""],
      [
        "an actor that has nothing to remember keeps its room",
        "if (isInUse || this.#live.get(id) !== live || !definition.isEmpty(live.state)) return",
        "if (!isInUse) return"
      ],
      [
        "an actor that has something to remember is forgotten",
        "if (isInUse || this.#live.get(id) !== live || !definition.isEmpty(live.state)) return",
        "if (isInUse || this.#live.get(id) !== live) return"
      ],
      ["an actor is forgotten with a reply that waits", "parking > 0 || (parked?.size ?? 0) > 0", "parking > 0"],
      [
        "an actor is forgotten before its reply waits",
        "parking > 0 || (parked?.size ?? 0) > 0",
        "(parked?.size ?? 0) > 0"
      ],
      [
        "an actor's restarts are forgotten",
        "(parked?.size ?? 0) > 0 || restartsMs.length > 0",
        "(parked?.size ?? 0) > 0"
      ],
      [
        "an actor that is forgotten stays on the account",
        "    if (weighed.every((bytes) => bytes === 0)) return\n    this.#live.delete(id)\n    this.#unweigh(definition, weighed)",
        "    this.#live.delete(id)"
      ]
    ]
  },
  "shard/Shard.ts": {
    tests: ["shard"],
    faults: [
      [
        "commits are completed out of order",
        "while (this.#inFlight.length > 0 && this.#inFlight[0]!.done && !this.#poisoned) {",
        "while (this.#inFlight.length > 0 && !this.#poisoned) {"
      ],
      ["replies come before the commit is durable", "      done: turn.built === undefined\n", "      done: true\n"],
      [
        "an epoch is given twice",
        "Math.max(recovered.epoch, known?.epoch ?? 0) + 1",
        "Math.max(recovered.epoch, known?.epoch ?? 0)"
      ],
      ["a shard goes on when its journal has failed", "    this.#poisoned = true\n", ""],
      [
        "pacing is ignored",
        "if (waitMs > 0 && this.#intake.bytes < commitPacingBytesMax) {",
        "if (waitMs > 1e9 && this.#intake.bytes < commitPacingBytesMax) {"
      ],
      ["any number of commits is in flight", "if (this.#commitsInFlight >= commitsInFlightMax || ", "if ("],
      [
        "a reply that replaces a parked one leaves it waiting",
        "if (replaced !== undefined) this.#guarded",
        "if (replaced === reply) this.#guarded"
      ],
      [
        "a deadline whose command was refused is lost",
        "if (!isRefused || this.isFailed(due.to) || this.#timers.has(key)) return",
        'if (key !== "") return'
      ],
      [
        "who waits for room is not told",
        'for (const resume of this.#waitingForRoom.splice(0)) this.#guarded("whenRoom", resume)',
        ""
      ]
    ]
  },
  "shard/Turn.ts": {
    tests: ["shard"],
    faults: [
      [
        "state hashes come at a stop only",
        "if (live.unhashed >= Math.max(eventsPerHash(kind),",
        "if (live.unhashed >= Math.max(Infinity,"
      ],
      ["an actor that was given up decides on", 'if (live.health !== "running") {', "if (live.health === undefined) {"],
      [
        "nobody is told of an actor that does not answer",
        "      exit = Exit.die(defect)\n      this.#onDefect(ask.to, defect)\n",
        "      exit = Exit.die(defect)\n"
      ],
      [
        "a list's place is behind what it has decided",
        "answered(ask, { exits, seq }))",
        "answered(ask, { exits, seq: this.#frame.nextSeq }))"
      ]
    ]
  },
  "shard/Replay.ts": {
    tests: ["shard"],
    faults: [
      [
        "events that a snapshot knows are folded again",
        "      this.#ofSnapshot.delete(actor)\n      return\n",
        "      this.#ofSnapshot.delete(actor)\n"
      ],
      ["an event of a later version is folded", "  if (version > newest) {", "  if (version > newest + 100) {"],
      [
        "a hole in the journal is passed over",
        "head.firstSeq > fromSeq : head.firstSeq !== expectedSeq) {",
        "head.firstSeq > fromSeq : head.firstSeq < expectedSeq) {"
      ],
      [
        "a hash of another version of the state is compared",
        "if (stateVersion !== stateVersionOf(definition)) {",
        "if (stateVersion < 1) {"
      ],
      ["hashes are not compared", "if (replayed.equals(hash)) return", "if (replayed !== hash) return"],
      ["a snapshot's states are not compared", "this.#ofSnapshot.set(actor, {", "void ({"],
      ["what is checked begins at the newest snapshot", "    oldest = before\n", "    break\n"]
    ]
  },
  "shard/Timers.ts": {
    tests: ["shard/Timers.test.ts"],
    faults: [
      ["a later time does not put a deadline off", "if (deadline.atMs > nowMs) {", "if (deadline.atMs > Infinity) {"],
      [
        "a cancelled deadline comes all the same",
        "cancel(key: string): void {\n    this.#deadlines.delete(key)",
        "cancel(key: string): void {\n    this.#deadlines.has(key)"
      ],
      ["a wait of more than 2^31 ms ends at once", "Math.min(delayMs, delayMsMax)", "delayMs"]
    ]
  },
  "shard/Restarts.ts": {
    tests: ["shard/restarts.test.ts"],
    faults: [
      ["an actor is never given up", "if (live.restartsMs.length > restartsMax) this.#giveUp(live, defect)", ""],
      [
        "a restarted actor lacks what is not durable yet",
        "if (actor === id && seq >= endSeq) state",
        "if (actor === id && seq < endSeq) state"
      ],
      ["restarts of long ago count", "live.restartsMs.filter((atMs) => atMs > nowMs - windowMs)", "live.restartsMs"]
    ]
  },
  "settle/RunBuilder.ts": {
    tests: ["settle/RunBuilder.test.ts"],
    faults: [
      [
        "a run's first batch counts as its largest",
        "position: Math.max(...batches.map(({ plainBytes }) => plainBytes)),",
        "position: batches[0]!.plainBytes,"
      ],
      ["a run goes over an epoch", "      next.epoch === this.#epoch &&\n", ""],
      ["a run goes over a gap of offsets", "      isNext &&\n      logId", "      logId"],
      ["a run is as long as it gets", "if (this.#bytes + batch.bytes.length > runBytesMax) this.#cutRun()", ""],
      [
        "a run's newest time is its last batch's",
        "maxTimestampMs: Math.max(...batches.map(({ maxTimestampMs }) => maxTimestampMs)),",
        "maxTimestampMs: last.maxTimestampMs,"
      ]
    ]
  },
  "settle/choose.ts": {
    tests: ["settle/choose.test.ts"],
    faults: [
      ["a file is rewritten while most of it lives", "const liveShareMax = 1 / 2", "const liveShareMax = 3 / 4"],
      [
        "a merge is longer than half a segment",
        "sum > segmentBytes * mergedShareMax) break",
        "sum > segmentBytes) break"
      ],
      [
        "what could not be rewritten is tried again and again",
        "isSettled && !isGivenUp\n\nconst rewrite",
        "isSettled\n\nconst rewrite"
      ]
    ]
  },
  "settle/gather.ts": {
    tests: ["settle/settle.test.ts"],
    faults: [
      [
        "records are settled whatever their checksum",
        "bytes.length !== ref.byteLength || crc32c(bytes) !== ref.crc",
        "bytes.length !== ref.byteLength"
      ]
    ]
  },
  "settle/chooseCompaction.ts": {
    tests: ["settle/chooseCompaction.test.ts"],
    faults: [
      [
        "max.compaction.lag.ms is ignored",
        "nowMs - compactable.dirtySinceMs > settings.maxCompactionLagMs",
        "nowMs < 0"
      ]
    ]
  },
  "compact/keepRecord.ts": {
    tests: ["compact"],
    faults: [
      ["the last record of a log is compacted away", "if (offset === logEndOffset - 1) return true", ""],
      [
        "the newest value of a key is compacted away",
        "newest.newestOffset(key) > offset) return false",
        "newest.newestOffset(key) >= offset) return false"
      ],
      ["a tombstone goes at once", "deleteHorizonMs === undefined || nowMs < deleteHorizonMs", "false"]
    ]
  },
  "compact/filterBatch.ts": {
    tests: ["compact"],
    faults: [
      ["a tombstone's horizon moves with each compaction", "(oldHorizonMs ?? deleteHorizonMs)", "deleteHorizonMs"],
      [
        "a compacted batch ends at its last record",
        "lastOffsetDelta: RecordBatch.lastOffsetDelta(batch),",
        "lastOffsetDelta: left.count - 1,"
      ],
      [
        "a compacted batch has another producer epoch",
        "producerEpoch: RecordBatch.producerEpoch(batch),",
        "producerEpoch: 0,"
      ]
    ]
  },
  "makeDirectory.ts": {
    tests: ["crashStates"],
    faults: [["a power cut forgets the data directory", "  syncParent(directory)\n", ""]]
  },
  "backup/files.ts": {
    tests: ["crashStates"],
    faults: [
      [
        "a manifest gets its name before it is on disk",
        "    fs.writeFileSync(descriptor, text)\n    fs.fsyncSync(descriptor)",
        "    fs.writeFileSync(descriptor, text)"
      ],
      ["a power cut forgets a copy's bytes", "    fs.fsyncSync(target)\n", ""]
    ]
  },
  "backup/Backup.ts": {
    tests: ["backup"],
    faults: [
      [
        "a stale copy of the newest segment is kept",
        "isThere(target, kept) && this.#endsAlike(kept, source)",
        "isThere(target, kept)"
      ],
      ["a copy that has another digest is kept", "if (sha256 === kept.sha256) return kept", "return kept"]
    ]
  },
  "backup/Restore.ts": {
    tests: ["backup"],
    faults: [
      [
        "digests are not compared",
        "if (digest.sha256 !== sha256 || digest.bytes !== bytes) {",
        "if (digest.bytes !== bytes) {"
      ],
      ["a time takes one commit less", "if (head.timeMs > timeMs) later", "if (head.timeMs >= timeMs) later"],
      ["a seq takes one event less", '"seq" in until ? until.seq + 1', '"seq" in until ? until.seq'],
      [
        "the epoch goes on where the backup was",
        "const lastTimeMs = await raiseEpoch(building, manifest.epoch, options)",
        "const lastTimeMs = manifest.lastTimeMs"
      ]
    ]
  },
  "RecordBatch.ts": {
    tests: ["RecordBatch.test.ts"],
    faults: [
      [
        "a batch a byte over the limit passes",
        "if (length > limits.recordBatchBytesMax) {",
        "if (length > limits.recordBatchBytesMax + 1) {"
      ],
      [
        "a batch may end behind its bytes",
        "if (length < batchHeaderBytes || length > remaining) {",
        "if (length < batchHeaderBytes) {"
      ],
      ["old message formats pass", "if (version === 0 || version === 1) {", "if (version === 0) {"],
      [
        "a producer may write control batches",
        "if ((bits & controlBit) !== 0) throw",
        "if ((bits & controlBit) > controlBit) throw"
      ],
      [
        "a count that the offsets do not agree with passes",
        "records <= 0 || lastOffsetDelta(batch) !== records - 1",
        "records <= 0"
      ],
      ["a bomb is held to its ratio only", "Math.min(limits.decompressedBytesMax, byRatio)", "byRatio"],
      [
        "a producer id passes without an epoch",
        "if (id >= 0 && (producerEpoch(batch) < 0 || baseSequence(batch) < 0)) {",
        "if (id >= 0 && baseSequence(batch) < 0) {"
      ],
      [
        "an offset is stamped with the old checksum",
        "  writeInt64(bytes, at + 35, maxTimestampMs)\n  stampCrc(bytes, at)",
        "  writeInt64(bytes, at + 35, maxTimestampMs)"
      ]
    ]
  },
  "access/reservedTopics.ts": {
    tests: ["access/Authorizer.test.ts", "TopicFilter.test.ts"],
    faults: [
      ["a stream is bound below $share", "stream|share|queue", "stream|queue"],
      ["bridges cannot tell of themselves", "system.test(topic) && !bridgeState.test(topic)", "system.test(topic)"]
    ]
  },
  "access/rules.ts": {
    tests: ["access/Authorizer.test.ts"],
    faults: [
      [
        "a stream that MQTT writes takes Kafka's records",
        "resource.isBound ? boundStream : undefined",
        'resource.name === "" ? boundStream : undefined'
      ],
      ["nobody reads what MQTT writes", '"Topic" && operation === "Write" &&', '"Topic" &&']
    ]
  },
  "TopicFilter.ts": {
    tests: ["TopicFilter.test.ts"],
    faults: [
      [
        "a wildcard matches $SYS",
        "if (topic.charCodeAt(0) === dollar && (first === plus || first === hash)) return false",
        ""
      ],
      [
        "a/# does not match a",
        '(filter.charCodeAt(filterEnd) === slash && filter.slice(filterEnd + 1) === "#")',
        "false"
      ],
      [
        "a filter of a level too many passes",
        "if (levels.length > limits.topicLevelsMax) {",
        "if (levels.length > limits.topicLevelsMax + 1) {"
      ]
    ]
  },
  "TopicTrie.ts": {
    tests: ["TopicTrie.test.ts"],
    faults: [
      [
        "a wildcard matches a first level of $",
        "if (topic.charCodeAt(0) === 0x24) {",
        "if (topic.charCodeAt(0) === 0) {"
      ],
      [
        "what was replaced is counted twice",
        "if (find(node.entries, entry.key) === undefined) this.#size++",
        "this.#size++"
      ],
      [
        "nodes that hold nothing stay",
        "at > 0 && isEmpty(path[at]!); at--",
        "at > 0 && isEmpty(path[at]!) && at < 0; at--"
      ]
    ]
  },
  "Held.ts": {
    tests: ["Held.test.ts", "TopicTrie.test.ts"],
    faults: [
      ["of two the one that stays is lost", "held.length === 2 ? held[1 - at]", "held.length === 2 ? undefined"],
      ["what is removed from few is another one", "held.toSpliced(at, 1)", "held.toSpliced(0, 1)"],
      ["an array that is shared is changed", "held.with(at, one)", "Object.assign(held, { [at]: one })"]
    ]
  },
  "Murmur2.ts": {
    tests: ["Murmur2.test.ts"],
    faults: [
      [
        "a key's partition is not Kafka's",
        "(murmur2(key) & 0x7fffffff) % partitions",
        "Math.abs(murmur2(key)) % partitions"
      ]
    ]
  },
  "Record.ts": {
    tests: ["Record.test.ts"],
    faults: [
      [
        "a record may end behind its batch",
        "if (length < 1 || length > bytes.length - this.#at)",
        "if (length < 1 || length > bytes.length - this.#at + 1)"
      ],
      [
        "a lying count of headers is walked",
        "this.headerCount < 0 || this.headerCount > (this.#end - this.#at) >>> 1",
        "this.headerCount < 0"
      ],
      [
        "offset deltas may have gaps",
        "if (reader.offsetDelta !== index) throw",
        "if (reader.offsetDelta < index) throw"
      ],
      [
        "the highest time is the last",
        "if (this.count === 0 || timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs\n    this.byteLength = end\n    this.count++\n    return true\n  }\n\n  /**\n   * Appends `count` encoded records",
        "this.maxTimestampMs = timestampMs\n    this.byteLength = end\n    this.count++\n    return true\n  }\n\n  /**\n   * Appends `count` encoded records"
      ],
      [
        "bytes behind the last record pass",
        'if (reader.position !== bytes.length) throw new InvalidRecord("Count", "bytes after',
        'if (reader.position > bytes.length) throw new InvalidRecord("Count", "bytes after'
      ]
    ]
  }
})
