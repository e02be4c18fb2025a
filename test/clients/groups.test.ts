import { fork, spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  groupAt,
  groupEvents,
  groupNow,
  wrongAssignment,
  type GroupEvent,
  type GroupState
} from "../support/groupHistory.ts"
import { consoleConsumer, javaArgs } from "../support/java.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

const stream = "orders"
const partitions = 6
const all = Array.from({ length: partitions }, (_, partition) => `${stream}-${partition}`)
const settleTimeoutMs = 40_000

const idOfTwo = ({ members }: GroupState): string =>
  members.find(({ groupInstanceId }) => groupInstanceId === "two")!.memberId

describe("consumer groups", () => {
  let server: ServerProcess
  const children = new Set<ChildProcess>()
  const read = new Set<string>()

  const member = (group: string, clientId: string): ChildProcess => {
    const child = fork(path.join(import.meta.dirname, "kafkajsMember.ts"), [server.kafka, stream, group, clientId])
    child.on("message", (message: { read?: string }) => {
      if (message.read !== undefined) read.add(message.read)
    })
    children.add(child)
    return child
  }

  const end = async (child: ChildProcess, how: "leave" | NodeJS.Signals): Promise<void> => {
    const exited = once(child, "exit")
    if (how === "leave") child.send("leave")
    else child.kill(how)
    await exited
    children.delete(child)
  }

  const stableWith = (group: string, members: number): Promise<GroupState> =>
    waitUntil(`group ${group} is stable with ${members} members`, settleTimeoutMs, async () => {
      const state = await groupNow(server, group).catch(() => undefined)
      const isStable = state?.state === "Stable" && state.members.length === members
      return isStable && state.members.every(({ partitions: own }) => own !== null) ? state : undefined
    })

  /** Every assignment that the group ever had, as the journal replays it. */
  const expectCompleteAlways = async (group: string, events: ReadonlyArray<GroupEvent>): Promise<void> => {
    const stored = events.filter(({ type }) => type === "AssignmentStored")
    const states = await Promise.all(stored.map(({ seq }) => groupAt(server, group, seq)))
    expect(states.flatMap((state) => wrongAssignment(state, all))).toEqual([])
    const generations = states.map(({ generation }) => generation)
    expect(generations).toEqual(generations.toSorted((a, b) => a - b))
    expect(new Set(generations).size).toBe(generations.length)
  }

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream(stream, { partitions })
    const producer = kafkajsOf(server.kafka).producer()
    await producer.connect()
    const messages = Array.from({ length: 600 }, (_, n) => ({
      key: `k${n}`,
      value: `v${n}`,
      partition: n % partitions
    }))
    await producer.send({ topic: stream, messages })
    await producer.disconnect()
  })
  afterAll(async () => {
    for (const child of children) child.kill("SIGKILL")
    await server?.dispose()
  })

  it("three kafkajs members: joins, a leave, a crash, and why, from the journal", async () => {
    const group = "workers"
    const first = member(group, "ada")
    await stableWith(group, 1)
    const second = member(group, "bob")
    await stableWith(group, 2)
    const third = member(group, "cyd")
    const three = await stableWith(group, 3)
    expect(three.members.map(({ partitions: own }) => own!.length)).toEqual([2, 2, 2])
    await end(second, "leave")
    expect(wrongAssignment(await stableWith(group, 2), all)).toEqual([])
    await end(third, "SIGKILL")
    expect(wrongAssignment(await stableWith(group, 1), all)).toEqual([])
    await waitUntil("all is read", settleTimeoutMs, () => read.size >= 600)
    await end(first, "leave")

    const events = await groupEvents(server, group)
    await expectCompleteAlways(group, events)
    const causes = events.filter(({ type }) => type === "RebalanceStarted").map(({ event }) => event.reason)
    expect(causes).toEqual([
      expect.stringMatching(/^new member ada-/),
      expect.stringMatching(/^new member bob-/),
      expect.stringMatching(/^new member cyd-/),
      expect.stringMatching(/^bob-.* left$/),
      expect.stringMatching(/^session of cyd-.* expired$/),
      expect.stringMatching(/^ada-.* left$/)
    ])
    const left = events.filter(({ type }) => type === "MemberLeft").map(({ event }) => event.reason)
    expect(left).toEqual(["left", "session expired", "left"])
    const joined = events.find(({ type }) => type === "MemberJoined")!
    const shown = await server.get<{ origin: string | null }>(`/journal/events/${joined.seq}`)
    expect(shown.origin).toMatch(/^kafka ada@.* JoinGroup/)
  })

  it("a static member that is killed and comes back in time causes no rebalance", async () => {
    const group = "statics"
    const start = (instance: string): ChildProcess => {
      const config = { "group.instance.id": instance, "session.timeout.ms": "30000", "client.id": instance }
      const properties = Object.entries(config).flatMap(([name, value]) => ["--consumer-property", `${name}=${value}`])
      const args = [
        "--bootstrap-server",
        server.kafka,
        "--topic",
        stream,
        "--group",
        group,
        "--from-beginning",
        ...properties
      ]
      const child = spawn("java", javaArgs(consoleConsumer, args), { stdio: "ignore" })
      children.add(child)
      return child
    }
    const one = start("one")
    await stableWith(group, 1)
    const two = start("two")
    const before = await stableWith(group, 2)
    expect(wrongAssignment(before, all)).toEqual([])
    await end(two, "SIGKILL")
    const again = start("two")
    const replaced = await waitUntil("the member is replaced", settleTimeoutMs, async () =>
      (await groupEvents(server, group)).find(({ type }) => type === "MemberReplaced")
    )
    const after = await stableWith(group, 2)
    expect(after.generation).toBe(before.generation)
    expect(wrongAssignment(after, all)).toEqual([])
    expect(idOfTwo(after)).not.toBe(idOfTwo(before))
    await end(one, "SIGTERM")
    await end(again, "SIGTERM")
    const events = await groupEvents(server, group)
    await expectCompleteAlways(group, events)
    expect(events.filter(({ type, seq }) => type === "RebalanceStarted" && seq > replaced.seq)).toEqual([])
  })

  it("a group, its generation and offsets outlive a kill of the server; offline the journal tells the same", async () => {
    const before = await groupEvents(server, "workers")
    await server.kill()
    await server.start()
    expect((await groupEvents(server, "workers")).slice(0, before.length)).toEqual(before)
    const admin = kafkajsOf(server.kafka).admin()
    await admin.connect()
    const [offsets] = await admin.fetchOffsets({ groupId: "workers", topics: [stream] })
    await admin.disconnect()
    expect(offsets!.partitions.map(({ offset }) => offset)).toEqual(Array.from({ length: partitions }, () => "100"))
    const last = before.findLast(({ type }) => type === "AssignmentStored")!
    const online = await groupAt(server, "workers", last.seq)
    expect(await server.stop()).toBe(0)
    const printed = await server.cli(
      "journal",
      "state",
      "group/workers",
      "--at",
      String(last.seq),
      "--data-dir",
      server.dataDir,
      "--json"
    )
    expect((JSON.parse(printed) as { state: GroupState }).state).toEqual(online)
  })
})
