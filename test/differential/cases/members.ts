import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import type { AnyApi, RequestInputOf } from "@logbrook/protocols/kafka/Schema"
import { OffsetCommit } from "@logbrook/protocols/kafka/messages/08_OffsetCommit"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { JoinGroup } from "@logbrook/protocols/kafka/messages/11_JoinGroup"
import { Heartbeat } from "@logbrook/protocols/kafka/messages/12_Heartbeat"
import { LeaveGroup } from "@logbrook/protocols/kafka/messages/13_LeaveGroup"
import { SyncGroup } from "@logbrook/protocols/kafka/messages/14_SyncGroup"
import { DescribeGroups } from "@logbrook/protocols/kafka/messages/15_DescribeGroups"
import { ListGroups } from "@logbrook/protocols/kafka/messages/16_ListGroups"
import { DeleteGroups } from "@logbrook/protocols/kafka/messages/42_DeleteGroups"
import { OffsetDelete } from "@logbrook/protocols/kafka/messages/47_OffsetDelete"
import { until } from "../../../bench/servers/processes.ts"
import { type Ask, type Case, type CaseOptions, type Family, single, versionsOf } from "../Case.ts"
import { isUnanswered, type Side } from "../Side.ts"
import { other, plain } from "../fixtures.ts"
import { commitAsk, offsetsAsk } from "./offsets.ts"

const toldMsMax = 20_000
const textBytes = (text: string): Buffer => {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** What a consumer subscribes to, as its protocol's version 0 has it. */
const subscription = (topics: ReadonlyArray<string>): Buffer => {
  const count = Buffer.alloc(4)
  count.writeInt32BE(topics.length)
  const [version, noUserData] = [Buffer.alloc(2), Buffer.alloc(4, 0xff)]
  return Buffer.concat([version, count, ...topics.map(textBytes), noUserData])
}

type Join = Partial<RequestInputOf<typeof JoinGroup>>

const range = { name: "range", metadata: subscription([plain]) }
const roundRobin = { name: "roundrobin", metadata: subscription([plain]) }

/** A group's life, as its members and an operator see it; each round asks in other versions. */
class Group {
  readonly cases: Array<Case> = []
  readonly id: string
  readonly #round: number

  constructor(name: string, round: number) {
    this.id = `${name} ${round}`
    this.#round = round
  }

  #version([min, max]: readonly [number, number]): number {
    return Math.min(min + this.#round, max)
  }

  ask<A extends AnyApi>(
    api: A,
    versions: readonly [number, number],
    what: string,
    ask: Ask<A>,
    options?: CaseOptions<A>
  ): void {
    this.cases.push(single(api, this.#version(versions), `${this.id}: ${what}`, ask, options))
  }

  #joining(side: Side, member: string, more: Join = {}): RequestInputOf<typeof JoinGroup> {
    return {
      groupId: this.id,
      sessionTimeoutMs: 60_000,
      rebalanceTimeoutMs: 60_000,
      memberId: side.text(`${this.id} ${member}`),
      protocolType: "consumer",
      protocols: [range, roundRobin],
      ...more
    }
  }

  #learn(member: string): NonNullable<CaseOptions<typeof JoinGroup>["learn"]> {
    return (side, { errorCode, memberId, generationId }) => {
      if (errorCode !== 0 && errorCode !== KafkaError.MEMBER_ID_REQUIRED) return
      side.learnId(`${this.id} ${member}`, memberId)
      if (errorCode === 0) side.numbers.set(`generation of ${this.id}`, generationId)
    }
  }

  /** Twice from version 4 on: the first answer is the member's id only (KIP-394). */
  join(what: string, member: string, more: Join = {}, since = 0): void {
    const options = { learn: this.#learn(member), connection: member }
    const version = this.#version([since, 9])
    this.ask(JoinGroup, [since, 9], `${what}, first`, (side) => this.#joining(side, member, more), options)
    if (version >= 4 && more.groupInstanceId === undefined) {
      this.ask(JoinGroup, [since, 9], what, (side) => this.#joining(side, member, more), options)
    }
  }

  /** A request that changes nothing. */
  joinWrongly(what: string, more: Join, since = 0): void {
    this.ask(JoinGroup, [since, 9], what, (side) => this.#joining(side, "a", more))
  }

  #beat(side: Side, member: string, more: Partial<RequestInputOf<typeof Heartbeat>> = {}) {
    return {
      groupId: this.id,
      generationId: side.number(`generation of ${this.id}`),
      memberId: side.text(`${this.id} ${member}`),
      ...more
    }
  }

  heartbeat(what: string, member: string, more: Partial<RequestInputOf<typeof Heartbeat>> = {}): void {
    this.ask(Heartbeat, [more.groupInstanceId === undefined ? 0 : 3, 4], what, (side) => this.#beat(side, member, more))
  }

  sync(what: string, member: string, more: Partial<RequestInputOf<typeof SyncGroup>> = {}, since = 0): void {
    const protocol = { protocolType: "consumer", protocolName: "range" }
    this.ask(SyncGroup, [since, 5], what, (side) => ({
      ...this.#beat(side, member),
      ...protocol,
      assignments: [],
      ...more
    }))
  }

  /** `assigned`: by member. */
  syncLeader(what: string, leader: string, assigned: Readonly<Record<string, string>>): void {
    this.ask(SyncGroup, [0, 5], what, (side) => this.#assignments(side, leader, assigned))
  }

  #assignments(side: Side, leader: string, assigned: Readonly<Record<string, string>>) {
    const assignments = Object.entries(assigned).map(([member, text]) => ({
      memberId: side.text(`${this.id} ${member}`),
      assignment: Buffer.from(text)
    }))
    const protocol = { protocolType: "consumer", protocolName: "range" }
    return { ...this.#beat(side, leader), ...protocol, assignments }
  }

  /** One joins, the other is told by its heartbeat and joins again: their answers, by member. */
  joinWhile(what: string, joining: string, member: string): void {
    const version = this.#version([0, 9])
    const send = async (side: Side) => {
      const join = async (who: string) => {
        const answer = await side.ask(JoinGroup, version, this.#joining(side, who), who)
        if (!isUnanswered(answer)) this.#learn(who)(side, answer)
        return answer
      }
      const first = version >= 4 ? await join(joining) : undefined
      const second = join(joining)
      await until(`${side.name} tells ${member}`, toldMsMax, async () => {
        const beat = await side.need(Heartbeat, this.#version([0, 4]), this.#beat(side, member), member)
        return beat.errorCode === KafkaError.REBALANCE_IN_PROGRESS
      })
      return { first, again: await join(member), second: await second }
    }
    this.cases.push({ api: JoinGroup, version, what: `${this.id}: ${what}`, send })
  }

  /** The follower asks first, and is answered when the leader has. */
  syncBoth(what: string, leader: string, follower: string): void {
    const version = this.#version([0, 5])
    const send = async (side: Side) => {
      const waiting = side.ask(SyncGroup, version, this.#assignments(side, follower, {}), follower)
      const assigned = this.#assignments(side, leader, { [leader]: "for the leader", [follower]: "for the follower" })
      const led = await side.ask(SyncGroup, version, assigned, leader)
      return { led, followed: await waiting }
    }
    this.cases.push({ api: SyncGroup, version, what: `${this.id}: ${what}`, send })
  }

  leave(what: string, member: string): void {
    this.ask(LeaveGroup, [0, 5], what, (side, version) => {
      const memberId = side.text(`${this.id} ${member}`)
      return { groupId: this.id, ...(version < 3 ? { memberId } : { members: [{ memberId, reason: "enough" }] }) }
    })
  }

  commit(what: string, member: string | undefined, generation = 0, more: object = {}): void {
    this.ask(OffsetCommit, [2, 10], what, (side, version) =>
      commitAsk(this.id, plain, 0, {
        ...(member === undefined
          ? {}
          : {
              memberId: side.text(`${this.id} ${member}`),
              generationIdOrMemberEpoch: side.number(`generation of ${this.id}`) + generation
            }),
        ...more
      })(side, version)
    )
  }

  look(what: string): void {
    this.ask(DescribeGroups, [0, 6], what, () => ({ groups: [this.id], includeAuthorizedOperations: true }))
    this.ask(ListGroups, [0, 5], what, () => ({}))
    this.ask(OffsetFetch, [1, 10], what, offsetsAsk(this.id, [[plain, [0, 1]]]))
  }

  delete(what: string): void {
    this.ask(DeleteGroups, [0, 2], what, () => ({ groupsNames: [this.id] }))
  }

  deleteOffsets(what: string, name: string): void {
    this.ask(OffsetDelete, [0, 0], what, () => ({
      groupId: this.id,
      topics: [{ name, partitions: [{ partitionIndex: 0 }] }]
    }))
  }
}

const lives = (group: Group): void => {
  group.joinWrongly("an id that is none", { memberId: "nobody" })
  group.joinWrongly("a session of no time", { sessionTimeoutMs: 0 })
  group.joinWrongly("a session of days", { sessionTimeoutMs: 864_000_000 })
  group.joinWrongly("no protocols", { protocols: [] })
  group.joinWrongly("no protocol type", { protocolType: "" })
  group.joinWrongly("an empty group", { groupId: "" })
  group.look("before it begins")
  group.join("a joins", "a")
  group.look("when a has joined")
  group.heartbeat("before the assignment", "a")
  group.commit("before the assignment", "a")
  group.joinWrongly("another protocol type", { memberId: "", protocolType: "connect" })
  group.joinWrongly("protocols that a does not know", { memberId: "", protocols: [{ ...range, name: "other" }] })
  group.sync("of another generation", "a", { generationId: 9 })
  group.sync("of a member that is none", "a", { memberId: "nobody" })
  group.sync("of another protocol type", "a", { protocolType: "connect" }, 5)
  group.sync("of another protocol", "a", { protocolName: "roundrobin" }, 5)
  group.sync("of no protocol type", "a", { protocolType: null }, 5)
  group.sync("of no protocol", "a", { protocolName: null }, 5)
  group.syncLeader("a assigns", "a", { a: "all" })
  group.look("when it is stable")
  group.sync("again", "a")
  group.heartbeat("stable", "a")
  group.heartbeat("of another generation", "a", { generationId: 9 })
  group.heartbeat("of a member that is none", "nobody", { memberId: "nobody" })
  group.commit("stable", "a")
  group.commit("of another generation", "a", 5)
  group.commit("of a member that is none", "nobody")
  group.commit("of a simple consumer", undefined)
  group.commit("of an instance that is none", "a", 0, { groupInstanceId: "i" })
  group.delete("that has members")
  group.deleteOffsets("of a topic that it reads", plain)
  group.deleteOffsets("of a topic that it does not read", other)
  group.joinWhile("b joins", "b", "a")
  group.look("when two have joined")
  group.syncBoth("both", "a", "b")
  group.look("when two are stable")
  group.join("b again, as it was", "b", {}, 4)
  group.leave("one that is none", "nobody")
  group.leave("b", "b")
  group.heartbeat("when b has left", "a")
  group.look("when b has left")
  group.join("a again", "a", {}, 4)
  group.syncLeader("a assigns again", "a", { a: "all again" })
  group.leave("a", "a")
  group.heartbeat("when a has left", "a")
  group.look("when it is empty")
  group.commit("when it is empty", "a")
  group.commit("of a simple consumer when it is empty", undefined)
  group.deleteOffsets("when it is empty", plain)
  group.delete("when it is empty")
  group.look("when it is deleted")
  group.delete("again")
}

const stays = (group: Group): void => {
  const instance = { groupInstanceId: "the instance" }
  group.join("an instance", "a", instance, 5)
  group.syncLeader("it assigns", "a", { a: "all" })
  group.look("of an instance")
  group.heartbeat("of an instance", "a", instance)
  group.heartbeat("of another instance", "a", { groupInstanceId: "another" })
  group.join("the instance comes back", "b", instance, 5)
  group.heartbeat("of who was there before", "a", instance)
  group.heartbeat("of who came back", "b", instance)
  group.sync("of who was there before", "a", instance, 3)
  group.sync("of who came back", "b", instance, 3)
  group.commit("of who was there before", "a", 0, instance)
  group.look("when the instance came back")
  group.ask(LeaveGroup, [3, 5], "several", (side) => ({
    groupId: group.id,
    members: [
      { memberId: side.text(`${group.id} a`), ...instance },
      { memberId: "", groupInstanceId: "another" },
      { memberId: "nobody" }
    ]
  }))
  group.ask(LeaveGroup, [3, 5], "by its instance", () => ({
    groupId: group.id,
    members: [{ memberId: "", ...instance }]
  }))
  group.look("when it has left")
  group.delete("when it has left")
}

const groups = (name: string, rounds: readonly [number, number], talk: (group: Group) => void): ReadonlyArray<Case> =>
  versionsOf(rounds).flatMap((round) => {
    const group = new Group(name, round)
    talk(group)
    return group.cases
  })

export const membersFamily: Family = {
  name: "members",
  topics: [],
  cases: () => [...groups("members", [0, 9], lives), ...groups("instances", [0, 4], stays)]
}
