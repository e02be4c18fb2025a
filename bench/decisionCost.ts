/**
 * What a decision of groups and sessions costs, as a turn takes it: decided, and its events folded unless it hands over the
 * state that they lead to. Microseconds of processor time for each, the median of several rounds:
 * `node --conditions=source bench/decisionCost.ts`.
 */
import { makeGroup } from "@logbrook/actors/group/Group"
import { type Command, defaultGroupSettings, type JoinMember } from "@logbrook/actors/group/GroupProtocol"
import { makeSession } from "@logbrook/actors/session/Session"
import type { SessionCommand } from "@logbrook/actors/session/SessionProtocol"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"

const warmUpRounds = 5
const rounds = 15
const nowMs = 1_800_000_000_000

const decided = (definition: AnyDefinition, state: unknown, command: Command | SessionCommand): unknown => {
  const { events, next } = definition.decide(state, command, nowMs)
  if (next !== undefined) return next
  let after = state
  for (const event of events) after = definition.evolve(after, event)
  return after
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** `step`: one decision, whose number is given. */
const measure = (name: string, times: number, begin: () => (i: number) => void): void => {
  const found: Array<number> = []
  // The first rounds are the compiler's.
  for (let round = -warmUpRounds; round < rounds; round++) {
    const step = begin()
    const before = process.cpuUsage()
    for (let i = 0; i < times; i++) step(i)
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) found.push((user + system) / times)
  }
  console.log(`${name}: ${median(found).toFixed(2)} µs`)
}

const group = makeGroup({ ...defaultGroupSettings, initialRebalanceDelayMs: 0 })
const session = makeSession()

const joinOf = (memberId: string): JoinMember => ({
  _tag: "JoinMember",
  memberId: "",
  proposedMemberId: memberId,
  groupInstanceId: null,
  clientId: "client",
  clientHost: "127.0.0.1",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 60_000,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata: new Uint8Array(60) }],
  requireKnownMemberId: false,
  skipAssignmentSupported: true,
  reason: null
})

const joined = (members: number): unknown => {
  let state: unknown = group.initial("group/g")
  for (let i = 0; i < members; i++) state = decided(group, state, joinOf(`m${i}`))
  return state
}

const generation = (state: unknown): number => {
  const reply = group.decide(state as never, { _tag: "Describe" }, nowMs).reply as never as {
    readonly value: { readonly generation: number }
  }
  return reply.value.generation
}

for (const members of [10, 100]) {
  measure(`JoinGroup of ${members} members, each`, 20 * members, () => {
    let state: unknown
    return (i) => {
      if (i % members === 0) state = group.initial("group/g")
      state = decided(group, state, joinOf(`m${i % members}`))
    }
  })
}
const one = joined(1)
const member = { generation: generation(one), memberId: "m0", groupInstanceId: null }
measure("Heartbeat", 20_000, () => () => void decided(group, one, { _tag: "Heartbeat", ...member }))
const stable = decided(group, one, {
  _tag: "SyncMember",
  ...member,
  protocolType: null,
  protocolName: null,
  assignments: [{ memberId: "m0", assignment: new Uint8Array(20) }]
})
for (const partitions of [1, 100]) {
  const offsets = Array.from({ length: partitions }, (_, partition) => ({
    topicId: "t",
    stream: "sensors",
    partition,
    offset: 5,
    leaderEpoch: 1,
    metadata: ""
  }))
  const command: Command = { _tag: "CommitOffsets", ...member, offsets }
  measure(`OffsetCommit of ${partitions} partitions`, 200_000 / (10 + partitions), () => {
    let state = stable
    return () => {
      state = decided(group, state, command)
    }
  })
}

const connectOf = (connectionId: string, cleanStart: boolean): SessionCommand => ({
  _tag: "Connect",
  connectionId,
  cleanStart,
  sessionExpiryMs: 3_600_000,
  will: null,
  keepAliveMs: 60_000,
  protocolVersion: 5
})
measure("CONNECT of a new session", 20_000, () => () => {
  decided(session, session.initial("session/a"), connectOf("1", true))
})
measure("CONNECT that takes a session over", 20_000, () => {
  let state = decided(session, session.initial("session/a"), connectOf("0", true))
  return (i) => {
    state = decided(session, state, connectOf(String(i + 1), false))
  }
})
