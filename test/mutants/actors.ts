import { inPackage } from "./Mutant.ts"

/** In what the actors decide and fold. */
export const actorMutants = inPackage("actors", {
  "partition/Partition.ts": {
    tests: ["partition"],
    faults: [
      [
        "a log's times go back with the clock",
        "Math.max(command.firstTimestampMs, state.maxTimestampMs)",
        "command.firstTimestampMs"
      ],
      [
        "a duplicate is stored again",
        'if (checked._tag === "Duplicate") {',
        'if (checked._tag === "InOrder" && count < 0) {'
      ],
      [
        "a log's start moves beyond its end",
        "if (offset < 0 || offset > state.nextOffset) return",
        "if (offset < 0) return"
      ],
      [
        "a log's start goes back",
        "if (offset <= state.logStartOffset) return",
        "if (offset === state.logStartOffset) return"
      ],
      ["a deleted log takes records", 'if (state.isDeleted) return refuse("UnknownTopicOrPartition")', ""],
      [
        "the next offset is one too far",
        "nextOffset: event.baseOffset + event.count,",
        "nextOffset: event.baseOffset + event.count + 1,"
      ]
    ]
  },
  "partition/ProducerState.ts": {
    tests: ["partition"],
    faults: [
      ["an old producer epoch passes", "if (epoch < known.epoch) return", "if (epoch < known.epoch - 1) return"],
      [
        "a new producer epoch begins anywhere",
        "return baseSequence === 0 ? inOrder :",
        "return baseSequence >= 0 ? inOrder :"
      ],
      ["four batches are remembered", "const batchesKept = 5", "const batchesKept = 4"],
      [
        "a gap of sequences passes",
        "return baseSequence === expected ? inOrder :",
        "return baseSequence >= expected ? inOrder :"
      ],
      [
        "sequences do not begin again at 0",
        "sequence > sequenceMax - count ? count - (sequenceMax - sequence) - 1 : sequence + count",
        "sequence + count"
      ]
    ]
  },
  "session/sessionTraffic.ts": {
    tests: ["session"],
    faults: [
      [
        "one subscription more than allowed is granted",
        "size >= settings.subscriptionsPerSessionMax",
        "size > settings.subscriptionsPerSessionMax"
      ],
      [
        "a queue holds one message more",
        "if (messages > settings.offlineQueueMessagesMax) return",
        "if (messages > settings.offlineQueueMessagesMax + 1) return"
      ],
      [
        "a queue holds any number of bytes",
        'return bytes > settings.offlineQueueBytesMax ? "offlineQueueBytesMax" : undefined',
        "return undefined"
      ],
      [
        "a packet id is given twice",
        'if (state.inflight.has(packetId) || packetIds.has(packetId)) return refuse("PacketIdentifierInUse")',
        ""
      ],
      [
        "QoS 2 with a known packet id is new",
        'state.unreleasedQos2.has(packetId)\n    ? decided({ _tag: "Qos2Remembered", duplicate: true })',
        'state.unreleasedQos2.size < 0\n    ? decided({ _tag: "Qos2Remembered", duplicate: true })'
      ],
      [
        "PUBREL of an unknown packet id is known",
        'state.unreleasedQos2.has(packetId)\n    ? decided({ _tag: "Qos2Freed", known: true }',
        'state.unreleasedQos2.size >= 0\n    ? decided({ _tag: "Qos2Freed", known: true }'
      ],
      ["PUBREC of QoS 1 counts", "if (entry?.qos !== 2) return false", "if (entry === undefined) return false"],
      ["a repeated subscription is an event", "if (!isSame(known, subscription)) changed", "changed"]
    ]
  },
  "session/sessionLifecycle.ts": {
    tests: ["session"],
    faults: [
      [
        "a session that expired is said to have ended with its connection",
        'sessionExpiryMs === 0 ? "ConnectionClosed" : "Expired"',
        'sessionExpiryMs >= 0 ? "ConnectionClosed" : "Expired"'
      ],
      [
        "a clean start keeps the session",
        '(command.cleanStart || isOfAnother) && mayBe(draft, "SessionEnded")',
        'isOfAnother && mayBe(draft, "SessionEnded")'
      ],
      [
        "a session is resumed below another mount point",
        '(command.cleanStart || isOfAnother) && mayBe(draft, "SessionEnded")',
        'command.cleanStart && mayBe(draft, "SessionEnded")'
      ],
      ["a takeover leaves the old connection open", 'askToClose(draft, "SessionTakenOver")', ""],
      [
        "a will that waits is lost when its session ends",
        'const endSession = (draft: Draft, cause: SessionEnded["cause"]): void => {\n  triggerWill(draft)',
        'const endSession = (draft: Draft, cause: SessionEnded["cause"]): void => {'
      ],
      [
        "Session Present is told of a new session",
        'const sessionPresent = mayBe(draft, "SessionResumed")\n',
        "const sessionPresent = true\n"
      ],
      [
        "another connection's end ends this one",
        "if (connectionId !== command.connectionId) return decisionOf(draft, done)\n  const sessionExpiryMs",
        "const sessionExpiryMs"
      ],
      [
        "a session of expiry 0 gets one at DISCONNECT",
        "grantedMs === 0 ? 0 : (command.sessionExpiryMs ?? grantedMs)",
        "command.sessionExpiryMs ?? grantedMs"
      ],
      [
        "any number of wills waits",
        "if (draft.before.pendingWills.length >= pendingWillsMax) return",
        "if (draft.before.pendingWills.length > 1e9) return"
      ],
      [
        "a will that may be tried again is given up",
        "refused?.isFinal === false) return decided(done)",
        "refused?.isFinal === undefined && refused === undefined) return decided(done)"
      ],
      [
        "a will is said to be stored with each try",
        "each.willId === willId && each.isStored !== true",
        "each.willId === willId"
      ]
    ]
  },
  "group/classic/joinMember.ts": {
    tests: ["group"],
    faults: [
      [
        "a group takes one member more",
        "context.members.size + context.pending.size >= draft.settings.membersMax",
        "context.members.size + context.pending.size > draft.settings.membersMax"
      ],
      [
        "a member that is gone joins as known",
        'return typeof member === "string" ? memberRefusal(member, memberId) : undefined',
        "return undefined"
      ],
      [
        "any session timeout passes",
        "sessionTimeoutMs >= settings.sessionTimeoutMsMin && sessionTimeoutMs <= settings.sessionTimeoutMsMax",
        "sessionTimeoutMs >= 0"
      ],
      [
        "a new member gets no member id first (KIP-394)",
        "command.requireKnownMemberId && command.groupInstanceId === null",
        "command.groupInstanceId === undefined"
      ]
    ]
  },
  "group/Group.ts": {
    tests: ["group"],
    faults: [
      [
        "a group with members can be deleted",
        'if (groupStateName(draft.state) !== "Empty") return refused("NonEmptyGroup"',
        'if (groupStateName(draft.state) === "Stable") return refused("NonEmptyGroup"'
      ]
    ]
  },
  "group/groupState.ts": {
    tests: ["group"],
    faults: [
      [
        "a saved group without members keeps a protocol that it never had",
        "protocol: isUnused ? null : {",
        "protocol: {"
      ],
      [
        "the journal may delete a group that has members",
        'if (groupStateName(state) !== "Empty") throw',
        'if (state.groupId === "") throw'
      ]
    ]
  },
  "group/classic/classicState.ts": {
    tests: ["group"],
    faults: [
      ["a protocol that nobody has joined by stays", "return isUnused(after) ? undefined : after", "return after"]
    ]
  },
  "group/offsets/decideOffsets.ts": {
    tests: ["group"],
    faults: [
      [
        "offset metadata may be of any length",
        'metadata.length > settings.offsetMetadataLengthMax ? "OffsetMetadataTooLarge" : null',
        "null"
      ]
    ]
  },
  "group/classic/Classic.ts": {
    tests: ["group"],
    faults: [
      [
        "a heartbeat of an old generation passes",
        "if (generation !== context.generation) return illegalGeneration(context, generation, memberId)\n  if (member",
        "if (member"
      ],
      [
        "a commit of an old generation passes",
        "if (generation !== context.generation) return illegalGeneration(context, generation, memberId)\n  return undefined\n}\n\n/** Nobody",
        "return undefined\n}\n\n/** Nobody"
      ],
      [
        "a commit passes while assignments are awaited",
        'stateNameOf(draft) === "CompletingRebalance" ? refusedCommit',
        'stateNameOf(draft) === "Empty" ? refusedCommit'
      ],
      [
        "a heartbeat keeps no session",
        "if (member.joinTicket === 0) touchSession(draft, member)\n  return stateNameOf",
        "return stateNameOf"
      ]
    ]
  },
  "group/classic/rebalance.ts": {
    tests: ["group"],
    faults: [
      ["the first rebalance does not wait", "|| context.initialRebalance) return", ") return"],
      [
        "a member that leaves keeps its parked join",
        'releaseJoin(draft, member, memberRefusal("UnknownMemberId", memberId))\n',
        "\n"
      ]
    ]
  }
})
