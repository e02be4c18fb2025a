import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { shimEnv } from "../support/diskShim.ts"
import { groupNow, type GroupState, wrongAssignment } from "../support/groupHistory.ts"
import { LineProgram } from "../support/LineProgram.ts"
import { kafkajsOf } from "../support/nodeReaders.ts"
import { pythonSource } from "../support/python.ts"
import { ServerProcess } from "../support/server.ts"
import { waitUntil } from "../support/waitUntil.ts"

// A coordinator of groups is killed (`kill -9`) in each state of theirs, while three groups of librdkafka's members are in it or rebalance:
// static members, cooperative-sticky ones, and such as join and leave. The disk is slow, so that each state lasts; what the kill has
// hit is told by the journal that it leaves.

type State = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable"

const stream = "orders"
const partitions = 6
const all = Array.from({ length: partitions }, (_, partition) => `${stream}-${partition}`)
const kinds = ["static", "sticky", "range"] as const
type Kind = (typeof kinds)[number]
const perProduce = 60
const slowMs = 300
const waitMs = 90_000
/** On a busy machine a kill may come too late. */
const triesMax = 5

const shown = (some: ReadonlyArray<GroupState>) =>
  some.map(({ generation, members }) => [generation, members.map(({ memberId, partitions: own }) => [memberId, own])])

describe("a coordinator of three groups that rebalance at once", () => {
  let server: ServerProcess
  let program: LineProgram | undefined
  let cases = 0
  let produced = 0
  /** The places of what each group has taken, as often as it has. */
  const taken = new Map<string, Array<string>>()

  const groupOf = (kind: Kind): string => `${kind}-${cases}`

  const join = async (kind: Kind, member: string): Promise<void> => {
    const strategy = kind === "sticky" ? "cooperative-sticky" : "range"
    const words = { member: `${groupOf(kind)}-${member}`, group: groupOf(kind), strategy }
    await program!.ask("join", kind === "static" ? { ...words, instance: member } : words)
  }
  const leave = (kind: Kind, member: string) => program!.ask("leave", { member: `${groupOf(kind)}-${member}` })
  const each = (kind: Kind, members: ReadonlyArray<string>, does: typeof join | typeof leave) =>
    Promise.all(members.map((member) => does(kind, member)))

  const state = (kind: Kind): Promise<GroupState> => groupNow(server, groupOf(kind))
  const states = async (of: ReadonlyArray<Kind> = kinds): Promise<ReadonlyArray<string>> =>
    (await Promise.all(of.map(state))).map(({ state }) => state)

  /** As the journal of a server that was killed has it. */
  const stateLeft = async (kind: Kind): Promise<string> => {
    const args = ["journal", "state", `group/${groupOf(kind)}`, "--data-dir", server.dataDir, "--json"]
    return (JSON.parse(await server.cli(...args)) as { readonly state: GroupState }).state.state
  }

  const stable = (kind: Kind, members: number): Promise<GroupState> =>
    waitUntil(`${groupOf(kind)} is stable with ${members} members`, waitMs, async () => {
      const now = await state(kind).catch(() => undefined)
      if (now?.state !== "Stable" || now.members.length !== members) return undefined
      return wrongAssignment(now, all).length === 0 ? now : undefined
    })

  const restart = async (env: Readonly<Record<string, string>>): Promise<void> => {
    await server.kill()
    server.env = env
    await server.start()
  }

  const produce = async (): Promise<void> => {
    const producer = kafkajsOf(server.kafka).producer()
    await producer.connect()
    const messages = Array.from({ length: perProduce }, (_, n) => ({ value: `v${n}`, partition: n % partitions }))
    await producer.send({ topic: stream, messages })
    await producer.disconnect()
    produced += perProduce
  }

  const expectAllTaken = async (kind: Kind): Promise<void> => {
    const isAllTaken = (): boolean => new Set(taken.get(groupOf(kind))).size === produced
    await waitUntil(`${groupOf(kind)} takes all`, waitMs, isAllTaken).catch((error: Error) => {
      throw new Error(`${error.message}\n${program!.errors}`)
    })
    const committed = async (): Promise<number> => {
      const { offsets } = await server.get<{ readonly offsets: ReadonlyArray<{ readonly offset: number }> }>(
        `/groups/${groupOf(kind)}`
      )
      return offsets.reduce((sum, { offset }) => sum + offset, 0)
    }
    await waitUntil(`${groupOf(kind)} commits all`, waitMs, async () => (await committed()) === produced)
  }

  /** Three groups of two members each, over a slow disk. */
  const begin = async (): Promise<void> => {
    cases++
    await program?.kill()
    server.env = {}
    if (!server.isRunning) await server.start()
    const command = pythonSource({ packages: "confluent", program: "groupMembers.py" }, [server.kafka, stream])
    program = await LineProgram.start(command, ["took"], (_what, words) => {
      const group = words.get("group")!
      taken.set(group, [...(taken.get(group) ?? []), words.get("place")!])
    })
    for (const kind of kinds) await each(kind, ["a", "b"], join)
    for (const kind of kinds) await stable(kind, 2)
    await restart(
      await shimEnv({ directory: server.dataDir, does: `slow ${slowMs}`, operations: ["sync"], match: "seg-" })
    )
    for (const kind of kinds) await stable(kind, 2)
  }

  beforeAll(async () => {
    server = await ServerProcess.start()
    await server.createStream(stream, { partitions })
    await produce()
  })
  afterEach(() => program?.kill())
  afterAll(() => server?.dispose())

  it.each<[State]>([["PreparingRebalance"], ["CompletingRebalance"]])(
    "killed in %s, completes them",
    async (wanted) => {
      for (let tries = 1; ; tries++) {
        await begin()
        await Promise.all(kinds.map((kind) => join(kind, "c")))
        await waitUntil(wanted, waitMs, async () => {
          const now = await states()
          return now.includes(wanted) && !now.includes("Stable")
        })
        await server.kill()
        const left = await Promise.all(kinds.map(stateLeft))
        if ((!left.includes(wanted) || left.includes("Stable")) && tries < triesMax) continue
        expect(left).toContain(wanted)
        expect(left).not.toContain("Stable")
        break
      }
      server.env = {}
      await server.start()
      for (const kind of kinds) await stable(kind, 3)
      await produce()
      for (const kind of kinds) await expectAllTaken(kind)
    }
  )

  it("killed in Stable, goes on with the members and generations that it had", async () => {
    await begin()
    const before = await Promise.all(kinds.map((kind) => stable(kind, 2)))
    await server.kill()
    expect(await Promise.all(kinds.map(stateLeft))).toEqual(["Stable", "Stable", "Stable"])
    server.env = {}
    await server.start()
    await produce()
    for (const kind of kinds) await expectAllTaken(kind)
    expect(shown(await Promise.all(kinds.map(state)))).toEqual(shown(before))
  })

  it("killed in Empty, goes on where the groups were", async () => {
    await begin()
    // Static members do not leave.
    const leaving = kinds.filter((kind) => kind !== "static")
    for (const kind of kinds) await expectAllTaken(kind)
    const before = new Map(leaving.map((kind) => [kind, taken.get(groupOf(kind))!.length]))
    for (const kind of leaving) await each(kind, ["a", "b"], leave)
    await waitUntil("Empty", waitMs, async () => (await states(leaving)).every((each) => each === "Empty"))
    await server.kill()
    expect(await Promise.all(leaving.map(stateLeft))).toEqual(["Empty", "Empty"])
    server.env = {}
    await server.start()
    await produce()
    for (const kind of leaving) await each(kind, ["a", "b"], join)
    for (const kind of kinds) await expectAllTaken(kind)
    // What was committed did not come again.
    for (const kind of leaving) expect(taken.get(groupOf(kind))).toHaveLength(before.get(kind)! + perProduce)
  })
})
