import type { GroupState } from "@logbrook/actors/group/groupState"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { FindCoordinator } from "@logbrook/protocols/kafka/messages/10_FindCoordinator"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { LeaveGroup } from "@logbrook/protocols/kafka/messages/13_LeaveGroup"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import { DeleteTopics } from "@logbrook/protocols/kafka/messages/20_DeleteTopics"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import { OffsetDelete } from "@logbrook/protocols/kafka/messages/47_OffsetDelete"
import { zeroUuid } from "@logbrook/protocols/kafka/Schema"
import { describe, expect, it } from "vitest"
import { type Kit, type RawClient } from "./kit.ts"
import { aKitForEach } from "./aKitForEach.ts"
import { newestState } from "../../../core/test/support/newestState.ts"

let kit: Kit
let client: RawClient

aKitForEach((started, connected) => {
  kit = started
  client = connected
})

const metadata = Buffer.from([0, 1, 2, 3])
const joinOf = (memberId: string, more: object = {}) => ({
  groupId: "g",
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId,
  protocolType: "consumer",
  protocols: [{ name: "range", metadata }],
  ...more
})

/** Joins as clients do since v4: twice. */
const join = async (from: RawClient, version = 5, more: object = {}) => {
  const first = await from.send(JoinGroup, version, joinOf("", more))
  if (first.errorCode !== KafkaError.MEMBER_ID_REQUIRED) return first
  return from.send(JoinGroup, version, joinOf(first.memberId, more))
}

const syncOf = (generationId: number, memberId: string, more: object = {}) => ({
  groupId: "g",
  generationId,
  memberId,
  assignments: [{ memberId, assignment: Buffer.from(memberId) }],
  ...more
})

const heartbeat = async (generationId: number, memberId: string, groupInstanceId: string | null = null) => {
  const { errorCode } = await client.send(Heartbeat, 4, { groupId: "g", generationId, memberId, groupInstanceId })
  return errorCode
}

describe("FindCoordinator", () => {
  it("is this node for groups, in every version", async () => {
    const here = { nodeId: 1, host: "127.0.0.1", port: kit.listener.port, errorCode: 0 }
    for (let version = 0; version <= 3; version++) {
      expect(await client.send(FindCoordinator, version, { key: "g" })).toMatchObject(here)
    }
    for (let version = 4; version <= 6; version++) {
      const { coordinators } = await client.send(FindCoordinator, version, { coordinatorKeys: ["g", "h"] })
      expect(coordinators).toMatchObject([
        { key: "g", ...here },
        { key: "h", ...here }
      ])
    }
  })

  it("is this node for transactional ids, in every version that knows them, and nobody for share groups", async () => {
    const { host, port } = { host: "127.0.0.1", port: kit.listener.port }
    for (let version = 1; version <= 3; version++) {
      const answer = await client.send(FindCoordinator, version, { key: "t", keyType: 1 })
      expect(answer).toMatchObject({ errorCode: 0, nodeId: 1, host, port })
    }
    for (let version = 4; version <= 6; version++) {
      const answer = await client.send(FindCoordinator, version, { coordinatorKeys: ["t"], keyType: 1 })
      expect(answer.coordinators).toMatchObject([{ key: "t", errorCode: 0, nodeId: 1, host, port }])
    }
    const { coordinators } = await client.send(FindCoordinator, 6, { coordinatorKeys: ["s:x:0"], keyType: 2 })
    expect(coordinators[0]!.errorCode).toBe(KafkaError.INVALID_REQUEST)
  })
})

/** Join, sync, heartbeat and leave, alone in a group. */
const lifeOf = async (from: RawClient, version: number): Promise<void> => {
  const groupId = `g${version}`
  const first = await from.send(JoinGroup, version, joinOf("", { groupId }))
  expect(first.errorCode).toBe(version < 4 ? 0 : KafkaError.MEMBER_ID_REQUIRED)
  expect(first.memberId).toMatch(/^raw-[0-9a-f-]{36}$/)
  if (version >= 4) expect([first.generationId, first.leader, first.members]).toEqual([-1, "", []])
  const joined = version < 4 ? first : await from.send(JoinGroup, version, joinOf(first.memberId, { groupId }))
  const { memberId } = joined
  expect(joined).toMatchObject({ errorCode: 0, generationId: 1, protocolName: "range", leader: memberId })
  expect(joined.protocolType).toBe(version >= 7 ? "consumer" : null)
  expect(joined.members.map((member) => [member.memberId, [...member.metadata]])).toEqual([[memberId, [...metadata]]])
  const syncVersion = Math.min(version, 5)
  const typed = syncVersion === 5 ? { protocolType: "consumer", protocolName: "range" } : {}
  const synced = await from.send(SyncGroup, syncVersion, syncOf(1, memberId, { groupId, ...typed }))
  expect([synced.errorCode, Buffer.from(synced.assignment).toString()]).toEqual([0, memberId])
  const beat = { groupId, generationId: 1, memberId }
  expect((await from.send(Heartbeat, Math.min(version, 4), beat)).errorCode).toBe(0)
  const leaveVersion = Math.min(version, 5)
  const leaving = leaveVersion < 3 ? { memberId } : { members: [{ memberId }] }
  const left = await from.send(LeaveGroup, leaveVersion, { groupId, ...leaving })
  expect([left.errorCode, left.members.map(({ errorCode }) => errorCode)]).toEqual([0, leaveVersion < 3 ? [] : [0]])
}

describe("a group", () => {
  it("is told its protocol by who synchronizes, from version 5 on", async () => {
    const first = await client.send(JoinGroup, 3, joinOf("", { groupId: "g" }))
    const named = { protocolType: "consumer", protocolName: "range" }
    const sync = async (version: number, own: object) =>
      (await client.send(SyncGroup, version, syncOf(1, first.memberId, { groupId: "g", ...own }))).errorCode
    expect(await sync(5, { ...named, protocolType: null })).toBe(KafkaError.INCONSISTENT_GROUP_PROTOCOL)
    expect(await sync(5, { ...named, protocolName: null })).toBe(KafkaError.INCONSISTENT_GROUP_PROTOCOL)
    expect(await sync(5, named)).toBe(0)
    expect(await sync(4, {})).toBe(0)
  })

  it("of one lives through every version (trap 31)", async () => {
    const lives = Array.from({ length: 10 }, async (_, version) => lifeOf(await kit.connect(), version))
    expect(await Promise.all(lives)).toHaveLength(10)
  })

  it("of two tells the members to the leader only (trap 32), and rebalances when one leaves (trap 33)", async () => {
    const other = await kit.connect()
    const [one, two] = await Promise.all([join(client), join(other)])
    expect([one.errorCode, two.errorCode, one.generationId]).toEqual([0, 0, two.generationId])
    const leader = one.leader === one.memberId ? one : two
    const follower = leader === one ? two : one
    expect([leader.members.length, follower.members.length]).toEqual([2, 0])
    const { generationId } = one
    const parked = (leader === one ? other : client).send(SyncGroup, 3, {
      ...syncOf(generationId, follower.memberId),
      assignments: []
    })
    const assignments = [leader, follower].map(({ memberId }) => ({ memberId, assignment: Buffer.from(memberId) }))
    const from = leader === one ? client : other
    await from.send(SyncGroup, 3, { groupId: "g", generationId, memberId: leader.memberId, assignments })
    expect(Buffer.from((await parked).assignment).toString()).toBe(follower.memberId)
    expect(await heartbeat(generationId, follower.memberId)).toBe(0)
    expect(await heartbeat(generationId - 1, follower.memberId)).toBe(KafkaError.ILLEGAL_GENERATION)
    expect(await heartbeat(generationId, "who")).toBe(KafkaError.UNKNOWN_MEMBER_ID)
    await client.send(LeaveGroup, 4, { groupId: "g", members: [{ memberId: leader.memberId }] })
    expect(await heartbeat(generationId, follower.memberId)).toBe(KafkaError.REBALANCE_IN_PROGRESS)
  })

  it("fences a static member whose instance came back (trap 33)", async () => {
    const staticMember = { groupInstanceId: "i" }
    const first = await join(client, 5, staticMember)
    await client.send(SyncGroup, 3, syncOf(first.generationId, first.memberId, staticMember))
    const second = await join(await kit.connect(), 5, staticMember)
    expect([second.errorCode, second.generationId]).toEqual([0, first.generationId])
    expect(await heartbeat(first.generationId, first.memberId, "i")).toBe(KafkaError.FENCED_INSTANCE_ID)
    expect(await heartbeat(first.generationId, second.memberId, "i")).toBe(0)
    const members = [{ memberId: "", groupInstanceId: "i" }]
    const left = await client.send(LeaveGroup, 3, { groupId: "g", members })
    expect(left.members[0]).toMatchObject({ errorCode: 0, groupInstanceId: "i" })
  })

  it("refuses what Kafka refuses", async () => {
    const codeOf = async (more: object) => (await client.send(JoinGroup, 5, joinOf("", more))).errorCode
    const seq = kit.shard.nextSeq
    expect(await codeOf({ groupId: "" })).toBe(KafkaError.INVALID_GROUP_ID)
    expect(await codeOf({ groupId: "x".repeat(600) })).toBe(KafkaError.INVALID_GROUP_ID)
    expect(await codeOf({ sessionTimeoutMs: 10 })).toBe(KafkaError.INVALID_SESSION_TIMEOUT)
    expect(await codeOf({ protocols: [] })).toBe(KafkaError.INCONSISTENT_GROUP_PROTOCOL)
    expect(await codeOf({ protocols: [{ name: "range", metadata: Buffer.alloc(1_048_589) }] })).toBe(81)
    expect((await client.send(JoinGroup, 5, joinOf("who"))).errorCode).toBe(KafkaError.UNKNOWN_MEMBER_ID)
    for (const groupId of ["", "nobody"]) {
      const code = groupId === "" ? KafkaError.INVALID_GROUP_ID : KafkaError.UNKNOWN_MEMBER_ID
      const named = { groupId, generationId: 1, memberId: "m" }
      expect((await client.send(Heartbeat, 3, named)).errorCode).toBe(code)
      expect((await client.send(SyncGroup, 3, { ...named, assignments: [] })).errorCode).toBe(code)
      expect((await client.send(LeaveGroup, 2, named)).errorCode).toBe(code)
    }
    expect(kit.shard.nextSeq).toBe(seq)
  })

  it("takes metadata and assignments of up to a message of Kafka's", async () => {
    const large = Buffer.alloc(1_048_588, 7)
    const { errorCode, memberId, generationId, members } = await join(client, 5, {
      protocols: [{ name: "range", metadata: large }]
    })
    expect(errorCode).toBe(0)
    expect(Buffer.compare(members[0]!.metadata, large)).toBe(0)
    const assignments = [{ memberId, assignment: large }]
    const synced = await client.send(SyncGroup, 3, syncOf(generationId, memberId, { assignments }))
    expect([synced.errorCode, Buffer.compare(synced.assignment, large)]).toEqual([0, 0])
    expect(await heartbeat(generationId, memberId)).toBe(0)
  })

  it("takes a client id of any length; the member id leaves the rest out", async () => {
    const clientId = "c".repeat(2000)
    for (let version = 0; version <= 9; version++) {
      const groupId = `long-${version}`
      const first = await client.send(JoinGroup, version, joinOf("", { groupId }), clientId)
      expect(first.errorCode).toBe(version >= 4 ? KafkaError.MEMBER_ID_REQUIRED : 0)
      expect(first.memberId).toMatch(/^c{255}-[0-9a-f-]{36}$/)
      if (version < 4) continue
      const second = await client.send(JoinGroup, version, joinOf(first.memberId, { groupId }), clientId)
      expect([second.errorCode, second.memberId]).toEqual([0, first.memberId])
    }
  })
})

const commitOf = (name: string, committedOffset: number, more: object = {}) => ({
  groupId: "g",
  topics: [{ name, partitions: [{ partitionIndex: 0, committedOffset, committedMetadata: "note" }] }],
  ...more
})

const fetchOf = (version: number, topics: ReadonlyArray<string> | null, groupId = "g") => {
  const asked = topics?.map((name) => ({ name, partitionIndexes: [0] })) ?? null
  return version < 8 ? { groupId, topics: asked } : { groups: [{ groupId, topics: asked }] }
}

const fetchOffsets = async (version: number, topics: ReadonlyArray<string> | null) => {
  const answer = await client.send(OffsetFetch, version, fetchOf(version, topics))
  const fetched = version < 8 ? answer.topics : answer.groups[0]!.topics
  return fetched.map(({ name, partitions }) => {
    const { committedOffset, metadata: note, errorCode } = partitions[0]!
    return [name, committedOffset, note, errorCode]
  })
}

const partition = (partitionIndex: number, more: object = {}) => ({
  partitionIndex,
  committedOffset: 1,
  committedMetadata: null,
  ...more
})

describe("offsets (traps 34, 35)", () => {
  it("are committed by simple consumers and fetched again, in every version", async () => {
    await kit.createStream("orders")
    await kit.createStream("other")
    for (let version = 2; version <= 9; version++) {
      const { topics } = await client.send(OffsetCommit, version, commitOf("orders", version))
      const partitions = [{ partitionIndex: 0, errorCode: 0 }]
      expect(topics).toEqual([{ name: "orders", topicId: zeroUuid, partitions }])
    }
    for (let version = 1; version <= 9; version++) {
      expect(await fetchOffsets(version, ["orders", "other", "nowhere"])).toEqual([
        ["orders", 9, "note", 0],
        ["other", -1, "", 0],
        ["nowhere", -1, "", 0]
      ])
      expect(await fetchOffsets(version, [])).toEqual([])
      if (version >= 2) expect(await fetchOffsets(version, null)).toEqual([["orders", 9, "note", 0]])
    }
  })

  it("are committed and fetched by topic ids from v10 on", async () => {
    const { topicId } = await kit.createStream("orders")
    const other = await kit.createStream("other")
    const unknown = "AAAAAAAAAAAAAAAAAAAAAQ"
    const places = [
      [topicId, 0],
      [topicId, 9],
      [unknown, 0],
      [zeroUuid, 0]
    ] as const
    const topics = places.map(([id, index]) => ({ topicId: id, partitions: [partition(index)] }))
    const committed = await client.send(OffsetCommit, 10, { groupId: "g", topics })
    expect(committed.topics.map((each) => [each.name, each.topicId, each.partitions[0]!.errorCode])).toEqual([
      ["", topicId, 0],
      ["", topicId, KafkaError.UNKNOWN_TOPIC_OR_PARTITION],
      ["", unknown, KafkaError.UNKNOWN_TOPIC_ID],
      ["", zeroUuid, KafkaError.UNKNOWN_TOPIC_ID]
    ])
    const fetch = async (ids: ReadonlyArray<string> | null) => {
      const asked = ids?.map((id) => ({ topicId: id, partitionIndexes: [0] })) ?? null
      const { groups } = await client.send(OffsetFetch, 10, { groups: [{ groupId: "g", topics: asked }] })
      return groups[0]!.topics.map((each) => [
        each.name,
        each.topicId,
        each.partitions[0]!.committedOffset,
        each.partitions[0]!.errorCode
      ])
    }
    expect(await fetch([topicId, other.topicId, unknown, zeroUuid])).toEqual([
      ["", topicId, 1, 0],
      ["", other.topicId, -1, 0],
      ["", unknown, -1, KafkaError.UNKNOWN_TOPIC_ID],
      ["", zeroUuid, -1, KafkaError.UNKNOWN_TOPIC_ID]
    ])
    expect(await fetch(null)).toEqual([["", topicId, 1, 0]])
    // The offset is the same by its topic's name.
    expect(await fetchOffsets(9, ["orders"])).toEqual([["orders", 1, "", 0]])
  })

  it("of several groups come in one answer", async () => {
    await kit.createStream("orders")
    await client.send(OffsetCommit, 7, commitOf("orders", 5))
    const groups = ["g", "h", ""].map((groupId) => ({ groupId, topics: [{ name: "orders", partitionIndexes: [0] }] }))
    const answer = await client.send(OffsetFetch, 8, { groups, requireStable: true })
    expect(answer.groups.map(({ groupId, errorCode }) => [groupId, errorCode])).toEqual([
      ["g", 0],
      ["h", 0],
      ["", 0]
    ])
    const offsets = answer.groups.map(({ topics }) => topics[0]?.partitions[0]?.committedOffset)
    expect(offsets).toEqual([5, -1, -1])
    const old = await client.send(OffsetFetch, 1, fetchOf(1, ["orders"], "x".repeat(513)))
    expect(old.topics[0]!.partitions[0]!.errorCode).toBe(KafkaError.INVALID_GROUP_ID)
    expect((await client.send(OffsetFetch, 8, { groups: [] })).groups).toEqual([])
  })

  it("of simple consumers without a group id are committed and fetched, in every version", async () => {
    await kit.createStream("orders")
    for (let version = 2; version <= 9; version++) {
      const { topics } = await client.send(OffsetCommit, version, commitOf("orders", version, { groupId: "" }))
      expect(topics[0]!.partitions[0]!.errorCode).toBe(0)
      const answer = await client.send(OffsetFetch, version, fetchOf(version, ["orders"], ""))
      const fetched = version < 8 ? answer.topics : answer.groups[0]!.topics
      expect(fetched[0]!.partitions[0]!.committedOffset).toBe(version)
    }
  })

  it("are refused per partition", async () => {
    await kit.createStream("orders")
    const { topics } = await client.send(OffsetCommit, 7, {
      groupId: "g",
      topics: [
        { name: "nowhere", partitions: [partition(0)] },
        {
          name: "orders",
          partitions: [
            partition(4),
            partition(0, { committedMetadata: "x".repeat(5000) }),
            partition(0),
            partition(0, { committedOffset: Number.MAX_SAFE_INTEGER }),
            partition(0, { committedOffset: Number.MIN_SAFE_INTEGER })
          ]
        }
      ]
    })
    const codes = topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode))
    expect(codes).toEqual([[3], [3, KafkaError.OFFSET_METADATA_TOO_LARGE, 0, 1, 1]])
    expect(await fetchOffsets(7, ["orders"])).toEqual([["orders", 1, "", 0]])
  })

  it("are refused from a stale generation, and of a group that never was", async () => {
    await kit.createStream("orders")
    const { memberId, generationId } = await join(client)
    const commit = async (more: object) => {
      const { topics } = await client.send(OffsetCommit, 7, commitOf("orders", 1, more))
      return topics[0]!.partitions[0]!.errorCode
    }
    expect(await commit({ memberId, generationIdOrMemberEpoch: generationId })).toBe(KafkaError.REBALANCE_IN_PROGRESS)
    await client.send(SyncGroup, 3, syncOf(generationId, memberId))
    expect(await commit({ memberId, generationIdOrMemberEpoch: generationId })).toBe(0)
    expect(await commit({ memberId, generationIdOrMemberEpoch: 99 })).toBe(KafkaError.ILLEGAL_GENERATION)
    expect(await commit({})).toBe(KafkaError.UNKNOWN_MEMBER_ID)
    expect(await commit({ groupId: "", generationIdOrMemberEpoch: 1 })).toBe(KafkaError.ILLEGAL_GENERATION)
    for (let version = 2; version <= 9; version++) {
      const request = commitOf("orders", 1, { groupId: "unheard-of", generationIdOrMemberEpoch: 1 })
      const { topics } = await client.send(OffsetCommit, version, request)
      expect(topics[0]!.partitions[0]!.errorCode).toBe(version < 9 ? 22 : KafkaError.GROUP_ID_NOT_FOUND)
    }
  })

  it("go with their stream, and a stream of the same name begins anew", async () => {
    await kit.createStream("orders")
    await kit.createStream("kept")
    await client.send(OffsetCommit, 7, commitOf("orders", 5))
    await client.send(OffsetCommit, 7, commitOf("kept", 6))
    await client.send(DeleteTopics, 4, { topicNames: ["orders"], timeoutMs: 1 })
    await kit.createStream("orders")
    expect(await fetchOffsets(7, ["orders", "kept"])).toEqual([
      ["orders", -1, "", 0],
      ["kept", 6, "note", 0]
    ])
    const state = newestState<GroupState>(kit.shard.actors, "group/g")!
    expect(state.offsets.count).toBe(1)
  })
})

const deleteGroups = async (version: number, ...groupsNames: ReadonlyArray<string>) => {
  const { results } = await client.send(DeleteGroups, version, { groupsNames })
  return results.map(({ groupId, errorCode }) => [groupId, errorCode])
}

const offsetsOf = (groupId: string) => ({
  groupId,
  topics: ["orders", "returns", "nowhere"].map((name) => ({
    name,
    partitions: [{ partitionIndex: 0 }, { partitionIndex: 7 }]
  }))
})

describe("deleting", () => {
  it("groups: those without members, with their offsets, in every version", async () => {
    await kit.createStream("orders")
    expect(await deleteGroups(0)).toEqual([])
    for (let version = 0; version <= 2; version++) {
      for (const groupId of ["g", ""]) await client.send(OffsetCommit, 7, commitOf("orders", 5, { groupId }))
      const busy = `busy-${version}`
      await join(client, 5, { groupId: busy })
      const named = ["g", busy, "", "g", "unheard-of", "x".repeat(600)]
      expect(await deleteGroups(version, ...named)).toEqual([
        ["g", 0],
        [busy, KafkaError.NON_EMPTY_GROUP],
        ["", 0],
        ["unheard-of", KafkaError.GROUP_ID_NOT_FOUND],
        ["x".repeat(600), KafkaError.INVALID_GROUP_ID]
      ])
      expect(await fetchOffsets(7, ["orders"])).toEqual([["orders", -1, "", 0]])
      expect(await deleteGroups(version, "g")).toEqual([["g", KafkaError.GROUP_ID_NOT_FOUND]])
    }
  })

  it("offsets: of topics that nobody subscribes to, and of partitions that are there", async () => {
    for (const name of ["orders", "returns"]) await kit.createStream(name)
    const remove = async (groupId = "g") => {
      const { errorCode, topics } = await client.send(OffsetDelete, 0, offsetsOf(groupId))
      return [errorCode, topics.map(({ partitions }) => partitions.map((each) => each.errorCode))]
    }
    expect(await remove()).toEqual([KafkaError.GROUP_ID_NOT_FOUND, []])
    expect(await remove("")).toEqual([KafkaError.INVALID_GROUP_ID, []])
    const subscription = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 1, 0, 6]), Buffer.from("orders"), Buffer.alloc(4)])
    const { memberId, generationId } = await join(client, 5, { protocols: [{ name: "range", metadata: subscription }] })
    await client.send(SyncGroup, 3, syncOf(generationId, memberId))
    const member = { memberId, generationIdOrMemberEpoch: generationId }
    for (const name of ["orders", "returns"]) await client.send(OffsetCommit, 7, commitOf(name, 5, member))
    const subscribed = KafkaError.GROUP_SUBSCRIBED_TO_TOPIC
    expect(await remove()).toEqual([
      0,
      [
        [subscribed, 3],
        [0, 3],
        [3, 3]
      ]
    ])
    expect(await fetchOffsets(7, null)).toEqual([["orders", 5, "note", 0]])
    await client.send(LeaveGroup, 4, { groupId: "g", members: [{ memberId }] })
    expect(await remove()).toEqual([
      0,
      [
        [0, 3],
        [0, 3],
        [3, 3]
      ]
    ])
    expect(await remove()).toEqual([KafkaError.GROUP_ID_NOT_FOUND, []])
  })
})
