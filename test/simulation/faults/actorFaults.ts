import type { CatalogEvent } from "@logbrook/actors/catalog/CatalogProtocol"
import type { CatalogState } from "@logbrook/actors/catalog/Catalog"
import { listOffsets, noOffsets } from "@logbrook/actors/group/offsets/offsetTable"
import { newClassic } from "@logbrook/actors/group/classic/classicState"
import { GroupRefused } from "@logbrook/actors/group/GroupProtocol"
import { generationOf, type GroupState } from "@logbrook/actors/group/groupState"
import type { PartitionState } from "@logbrook/actors/partition/Partition"
import { SessionRefused } from "@logbrook/actors/session/SessionProtocol"
import type { SessionState } from "@logbrook/actors/session/sessionState"
import type { AnyDefinition, Decision } from "@logbrook/core/actor/Definition"
import type { Kind } from "@logbrook/core/actor/Kind"
import type { Room } from "@logbrook/core/memory/MemoryAccount"
import { PacketIds } from "@logbrook/core/PacketIds"
import * as Exit from "effect/Exit"
import { inActor, inNext, type PlantedFault } from "./Hooks.ts"

interface Tagged {
  readonly _tag: string
  readonly [field: string]: unknown
}

type AnyDecision = Decision<
  Kind<string, { command: Tagged; replies: Record<string, Tagged>; failure: never; event: Tagged; notice: Tagged }>
>
/** Another decision for what the right one says. */
const deciding = (
  own: AnyDefinition,
  patch: (decision: AnyDecision, command: Tagged, state: never) => AnyDecision
): Partial<AnyDefinition> => ({
  decide: (state: unknown, command: Tagged, nowMs: number) =>
    patch(own.decide(state, command, nowMs) as AnyDecision, command, state as never)
})

/** Another command than the one that came. */
const asking = (own: AnyDefinition, patch: (command: Tagged, state: never) => Tagged): Partial<AnyDefinition> => ({
  decide: (state: unknown, command: Tagged, nowMs: number) =>
    own.decide(state, patch(command, state as never), nowMs) as AnyDecision
})

const withoutEvents = (decision: AnyDecision, ...tags: ReadonlyArray<string>): AnyDecision => ({
  ...decision,
  events: decision.events.filter(({ _tag }) => !tags.includes(_tag))
})

const withoutSignals = (
  decision: AnyDecision,
  isGone: (signal: AnyDecision["signals"][number]) => boolean
): AnyDecision => ({
  ...decision,
  signals: decision.signals.filter((signal) => !isGone(signal))
})

const changed = (decision: AnyDecision, tag: string, change: (event: Tagged) => object): AnyDecision => ({
  ...decision,
  events: decision.events.map((event) => (event._tag === tag ? { ...event, ...change(event) } : event))
})

const replied = (decision: AnyDecision, tag: string, change: (reply: Tagged) => object): AnyDecision => {
  const { reply } = decision
  if (reply === undefined || !Exit.isSuccess(reply) || reply.value._tag !== tag) return decision
  return { ...decision, reply: Exit.succeed({ ...reply.value, ...change(reply.value) }) }
}

/** Every reply that a decision releases, its own too. */
const released = (decision: AnyDecision, tag: string, change: (reply: Tagged) => object): AnyDecision => ({
  ...replied(decision, tag, change),
  signals: decision.signals.map((signal) => {
    if (signal._tag !== "Release" || !Exit.isSuccess(signal.exit)) return signal
    const value = signal.exit.value as Tagged
    return value._tag === tag ? { ...signal, exit: Exit.succeed({ ...value, ...change(value) }) } : signal
  })
})

const partitionFaults: ReadonlyArray<PlantedFault> = [
  inActor("an idempotent producer's batch is never a duplicate", "partition", (own) =>
    asking(own, (command) => (command._tag === "AppendBatch" ? { ...command, producerId: -1 } : command))
  ),
  inActor("the window of idempotence is one batch", "partition", (own) => ({
    decide: (state: PartitionState, command: unknown, nowMs: number) => {
      const producers = new Map(
        Array.from(state.producers, ([id, { epoch, batches }]) => [id, { epoch, batches: batches.slice(-1) }])
      )
      return own.decide({ ...state, producers }, command, nowMs)
    }
  })),
  inActor("producers are forgotten at a restart", "partition", (own) => ({
    load: (id, saved) => ({ ...(own.load(id, saved) as PartitionState), producers: new Map() })
  })),
  inActor("an offset goes back", "partition", (own) =>
    deciding(own, (decision) =>
      changed(decision, "RecordsAppended", ({ baseOffset }) => {
        const offset = baseOffset as number
        return { baseOffset: offset > 5 ? offset - 1 : offset }
      })
    )
  ),
  inActor("an offset is passed over", "partition", (own) =>
    deciding(own, (decision) =>
      changed(decision, "RecordsAppended", ({ baseOffset }) => {
        const offset = baseOffset as number
        return { baseOffset: offset === 7 ? 8 : offset }
      })
    )
  ),
  inActor("the offset that is acknowledged is the next one", "partition", (own) =>
    deciding(own, (decision) => {
      const { reply } = decision
      if (reply === undefined || !Exit.isSuccess(reply)) return decision
      const { baseOffset } = reply.value
      if (typeof baseOffset !== "number") return decision
      return { ...decision, reply: Exit.succeed({ ...reply.value, baseOffset: baseOffset + 1 }) }
    })
  ),
  inActor("retention moves past the high watermark", "partition", (own) =>
    deciding(own, (decision, _command, { nextOffset }: PartitionState) =>
      changed(decision, "LogStartMoved", () => ({ offset: nextOffset + 3 }))
    )
  ),
  inActor("retention goes back", "partition", (own) =>
    deciding(own, (decision, _command, { logStartOffset }: PartitionState) =>
      changed(decision, "LogStartMoved", ({ offset }) => ({ offset: logStartOffset > 0 ? logStartOffset - 1 : offset }))
    )
  ),
  inActor("a deleted log stays", "partition", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "LogDeleted"))
  ),
  inActor("a producer's batch keeps its own times where the time of its append is to count", "partition", (own) =>
    asking(own, (command) => (command._tag === "AppendBatch" ? { ...command, timestampType: "CreateTime" } : command))
  ),
  inActor("a batch has another time than that of its append", "partition", (own) =>
    deciding(own, (decision) =>
      changed(decision, "RecordsAppended", (event) =>
        event["isLogAppendTime"] === true ? { maxTimestampMs: (event["maxTimestampMs"] as number) - 1 } : {}
      )
    )
  ),
  inActor("a state that no event tells of", "partition", (own) => ({
    decide: (state: PartitionState, command: unknown, nowMs: number) => {
      const mutable = state as { maxTimestampMs: number }
      if (state.nextOffset === 9) mutable.maxTimestampMs = nowMs + 7
      return own.decide(state, command, nowMs)
    }
  }))
]

const catalogFaults: ReadonlyArray<PlantedFault> = [
  inActor("a log id is used again", "catalog", (own) => ({
    evolve: (state: CatalogState, event: CatalogEvent) => {
      const next = own.evolve(state, event) as CatalogState
      return event._tag === "StreamDeleted" ? { ...next, nextLogId: Math.min(...event.logIds) } : next
    }
  })),
  inActor("a log id of an added partition is given again", "catalog", (own) => ({
    evolve: (state: CatalogState, event: CatalogEvent) => {
      const next = own.evolve(state, event) as CatalogState
      return event._tag === "StreamAltered" ? { ...next, nextLogId: state.nextLogId } : next
    }
  })),
  inActor("a block of producer ids is given twice", "catalog", (own) =>
    deciding(own, (decision) => replied(decision, "ProducerIds", () => ({ first: 1 })))
  )
]

const untold = (decision: AnyDecision): AnyDecision =>
  withoutSignals(decision, (signal) => signal._tag === "SetDeadline" && signal.key === "outbox")

const outboxFaults: ReadonlyArray<PlantedFault> = [
  inActor("a deletion is told once, and lost with a crash", "catalog", (own) => ({
    ...deciding(own, untold),
    resume: () => []
  })),
  inActor("a will that was published stays in the outbox, and comes twice", "session", (own) =>
    deciding(own, (decision) => ({
      ...withoutEvents(decision, "WillPublished", "WillStored"),
      signals: decision.signals.filter((signal) => signal._tag !== "CancelDeadline" || signal.key !== "outbox")
    }))
  ),
  inActor("a will whose confirmation was refused once goes into its stream again", "session", (own) => {
    const refused = new Set<string>()
    return deciding(own, (decision, command, { clientId }: SessionState) => {
      const will = `${clientId} ${String(command["willId"])}`
      if (command._tag !== "ConfirmWill" || refused.has(will)) return withoutEvents(decision, "WillStored")
      refused.add(will)
      return { events: [], reply: Exit.fail(new SessionRefused({ reason: "SessionTakenOver" })) as never, signals: [] }
    })
  })
]

const membersOf = ({ protocol }: GroupState) => (protocol ?? newClassic).machine.context.members

/** What an actor hands over lacks its decision's last event, or is another state than they lead to. */
const nextFaults: ReadonlyArray<PlantedFault> = [
  inNext("a group hands over a state without its decision's last event", "group", (own, before, { events }) =>
    events.slice(0, -1).reduce((state, event) => own.evolve(state, event) as GroupState, before)
  ),
  inNext("a group hands over offsets that no event tells of", "group", (_own, _before, { next }) => {
    const state = next as GroupState
    return state.protocol === undefined ? state : { ...state, offsets: noOffsets }
  }),
  inNext("a session hands over the state that it had before", "session", (_own, before) => before),
  inNext("a session that is resumed hands over no subscriptions", "session", (_own, _before, { next }) => ({
    ...(next as SessionState),
    subscriptions: new Map()
  }))
]

const groupFaults: ReadonlyArray<PlantedFault> = [
  inActor("a stale generation's commit is accepted", "group", (own) =>
    asking(own, (command, state: GroupState) =>
      command._tag === "CommitOffsets" && membersOf(state).has(command["memberId"] as string)
        ? { ...command, generation: generationOf(state) }
        : command
    )
  ),
  inActor("a commit is accepted from a member that is gone", "group", (own) =>
    asking(own, (command, state: GroupState) => {
      const first = [...membersOf(state).values()][0]
      const isMember = membersOf(state).has(command["memberId"] as string)
      if (command._tag !== "CommitOffsets" || isMember || first === undefined) return command
      const { memberId, groupInstanceId } = first
      return { ...command, memberId, groupInstanceId, generation: generationOf(state) }
    })
  ),
  inActor("commits are acknowledged and not kept", "group", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "OffsetsCommitted"))
  ),
  inActor("committed offsets go back", "group", (own) =>
    deciding(own, (decision) =>
      changed(decision, "OffsetsCommitted", ({ offsets }) => ({
        offsets: (offsets as ReadonlyArray<{ offset: number }>).map((each) => ({
          ...each,
          offset: each.offset % 7 === 3 ? 0 : each.offset
        }))
      }))
    )
  ),
  inActor("offsets are not told", "group", (own) =>
    deciding(own, (decision) =>
      replied(decision, "OffsetsFetched", ({ offsets }) => ({
        offsets: (offsets as ReadonlyArray<object>).map((each) => ({ ...each, offset: -1 }))
      }))
    )
  ),
  inActor("every member takes itself for the leader", "group", (own) =>
    deciding(own, (decision) => released(decision, "Joined", ({ memberId }) => ({ leader: memberId })))
  ),
  inActor("a member is given another's partitions", "group", (own) =>
    deciding(own, (decision, _command, state: GroupState) =>
      released(decision, "Synced", () => ({ assignment: [...membersOf(state).values()][0]?.assignment }))
    )
  ),
  inActor("an assignment goes to members that have left", "group", (own) =>
    deciding(own, (decision) =>
      changed(decision, "AssignmentStored", ({ assignments }) => ({
        assignments: [...(assignments as ReadonlyArray<object>), { memberId: "gone", assignment: new Uint8Array(0) }]
      }))
    )
  ),
  inActor("the generation stays the same", "group", (own) =>
    deciding(own, (decision) =>
      changed(decision, "RebalanceCompleted", ({ generation }) => ({
        generation: Math.max(1, (generation as number) - 1)
      }))
    )
  ),
  inActor("parked replies are lost", "group", (own) =>
    deciding(own, (decision) => withoutSignals(decision, ({ _tag }) => _tag === "Release"))
  ),
  inActor("deadlines are not armed again after a restart", "group", (own) => ({ ...own, resume: () => [] })),
  inActor("a member that cannot join again is not told that it has lost its place", "group", (own) =>
    deciding(own, (decision, command) => {
      const isRefused = decision.events.some((event) => event["reason"] === "metadata too large")
      if (command._tag !== "JoinMember" || !isRefused) return decision
      const memberId = command["memberId"] as string
      const failure = new GroupRefused({ reason: "GroupMaxSizeReached", memberId, message: "too large" })
      return { events: [], reply: Exit.fail(failure), signals: [] }
    })
  ),
  inActor("offsets expire while the group has members", "group", (own) =>
    deciding(own, (decision, command, state: GroupState) => {
      if (command._tag !== "ExpireOffsets" || membersOf(state).size === 0) return decision
      const offsets = listOffsets(state.offsets)
      return { ...decision, events: [{ _tag: "OffsetsExpired", retentionMs: 1, reason: "no members", offsets }] }
    })
  ),
  inActor("offsets expire when the first one does", "group", (own) =>
    deciding(own, (decision, _command, state: GroupState) =>
      changed(decision, "OffsetsExpired", () => ({ offsets: listOffsets(state.offsets) }))
    )
  ),
  inActor("offsets never expire", "group", (own) =>
    deciding(own, (decision) =>
      withoutSignals(decision, (signal) => signal._tag === "SetDeadline" && signal.key === "offsets")
    )
  ),
  inActor("an expired offset comes back with a restart", "group", (own) => {
    const expired = new Map<string, object>()
    return {
      evolve: (state: GroupState, event: Tagged) => {
        if (event._tag === "OffsetsExpired") expired.set(state.groupId, state.offsets)
        return own.evolve(state, event) as GroupState
      },
      resume: (state: GroupState, nowMs: number) => {
        const offsets = expired.get(state.groupId)
        if (offsets !== undefined) Object.assign(state, { offsets })
        return own.resume(state, nowMs)
      }
    }
  }),
  inActor("a group is said to be deleted and is kept", "group", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "GroupDeleted"))
  ),
  inActor("the deadline of a rebalance is lost", "group", (own) =>
    deciding(own, (decision) =>
      withoutSignals(decision, (signal) => signal._tag === "SetDeadline" && signal.key === "rebalance")
    )
  )
]

const sessionFaults: ReadonlyArray<PlantedFault> = [
  inActor("the packet ids of QoS 2 are not kept", "session", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "Qos2Received"))
  ),
  inActor("the packet ids of QoS 2 are forgotten at a restart", "session", (own) => ({
    load: (id, saved) => ({ ...(own.load(id, saved) as SessionState), unreleasedQos2: new PacketIds() })
  })),
  inActor("PUBREL frees nothing", "session", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "Qos2Released"))
  ),
  inActor("PUBREC is not kept", "session", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "MessagesReceived"))
  ),
  inActor("what was sent is not sent again", "session", (own) =>
    deciding(own, (decision) =>
      replied(decision, "SessionOpened", ({ queue }) => ({
        queue: (queue as ReadonlyArray<{ phase: string }>).filter(({ phase }) => phase === "queued")
      }))
    )
  ),
  inActor("PUBACK leaves the message in the queue", "session", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "MessagesAcked"))
  ),
  inActor("a message is not queued while its client is away", "session", (own) =>
    deciding(own, (decision, command, { life }: SessionState) =>
      command._tag === "Enqueue" && life.connectionId === null ? withoutEvents(decision, "MessagesQueued") : decision
    )
  ),
  inActor("a session that ends takes its shared messages along", "session", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "SharedReleased"))
  ),
  inActor("QoS 2 that was sent to one member goes to another", "session", (own) => ({
    decide: (state: SessionState, command: Tagged, nowMs: number, room?: Room) => {
      if (!["Kick", "Expire", "Disconnect"].includes(command._tag)) return own.decide(state, command, nowMs, room)
      const queue = Array.from(state.queue, ([id, entry]) => {
        return [id, entry.phase === "sent" ? { ...entry, phase: "queued" as const } : entry] as const
      })
      return own.decide({ ...state, queue: new Map(queue) }, command, nowMs, room)
    }
  })),
  inActor("a will is lost at a takeover", "session", (own) =>
    deciding(own, (decision, command) =>
      command._tag === "Connect" ? withoutEvents(decision, "WillTriggered") : decision
    )
  ),
  inActor("a will's event is one commit and its message the next", "session", (own) =>
    deciding(own, (decision) =>
      changed(decision, "WillTriggered", () => ({ _tag: "WillPublished", willId: undefined }))
    )
  ),
  inActor("a will that was refused is not asked for again", "session", (own) =>
    deciding(own, (decision) =>
      withoutSignals(decision, (signal) => signal._tag === "SetDeadline" && signal.key === "outbox")
    )
  ),
  inActor("a will that waits is forgotten at a restart", "session", (own) => ({
    resume: (state: SessionState, nowMs) => own.resume({ ...state, pendingWills: [] }, nowMs)
  })),
  inActor("a session's deadlines are compared with the machine's clock", "session", (own) => ({
    decide: (state: SessionState, command: Tagged, nowMs) =>
      own.decide(state, "atMs" in command ? { ...command, atMs: nowMs } : command, nowMs)
  })),
  inActor("a will is never confirmed", "session", (own) =>
    deciding(own, (decision) => withoutEvents(decision, "WillPublished"))
  ),
  inActor("how a connection ended is lost", "session", (own) =>
    deciding(own, (decision) => changed(decision, "SessionDisconnected", () => ({ end: undefined })))
  ),
  inActor("what a crash ended is told as an end by the client", "session", (own) =>
    deciding(own, (decision, command) =>
      command._tag !== "LoseConnection"
        ? decision
        : changed(decision, "SessionDisconnected", () => ({ end: { by: "client", reasonCode: 4 } }))
    )
  ),
  inActor("a will is published after an orderly end", "session", (own) =>
    asking(own, (command) => (command._tag === "Disconnect" ? { ...command, publishWill: true } : command))
  ),
  inActor("a session ends with its connection", "session", (own) =>
    asking(own, (command) => (command._tag === "Connect" ? { ...command, sessionExpiryMs: 0 } : command))
  ),
  inActor("Session Present is not told", "session", (own) =>
    deciding(own, (decision) => replied(decision, "SessionOpened", () => ({ sessionPresent: false })))
  ),
  inActor("subscriptions are forgotten at a restart", "session", (own) => ({
    load: (id, saved) => ({ ...(own.load(id, saved) as SessionState), subscriptions: new Map() })
  })),
  inActor("the queue has no limit", "session", (own) => ({
    decide: (state: SessionState, command: Tagged, nowMs: number) => {
      const queue = command._tag === "Enqueue" ? new Map() : state.queue
      return own.decide({ ...state, queue }, command, nowMs)
    }
  }))
]

/** In what the actors decide and keep. */
export const actorFaults: ReadonlyArray<PlantedFault> = [
  ...partitionFaults,
  ...catalogFaults,
  ...outboxFaults,
  ...groupFaults,
  ...nextFaults,
  ...sessionFaults
]
