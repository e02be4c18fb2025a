import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import { GroupStates } from "@logbrook/actors/group/groupState"
import { afterEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { getGroup, groupNames } from "../../src/http/groups.ts"
import { watchCommits } from "../../src/serverMetrics.ts"
import { startKit, type Kit } from "../kafka/kit.ts"
import { now } from "../support/now.ts"
import { newestState } from "../../../core/test/support/newestState.ts"

describe("what HTTP and the metrics tell of a group", () => {
  let kit: Kit
  let journal: HeldJournal
  afterEach(async () => {
    journal.release()
    await kit.close()
  })

  const start = async () => {
    journal = new HeldJournal()
    kit = await startKit({ journal, limits: { commitPacingMs: 0 } })
    watchCommits(kit.broker, kit.journal)
    const { topicId } = await kit.createStream("orders")
    return (group: string, offset: number): Promise<unknown> => {
      const offsets = [{ topicId, stream: "orders", partition: 0, offset, leaderEpoch: -1, metadata: "" }]
      const command = { _tag: "CommitOffsets", generation: -1, memberId: "", groupInstanceId: null, offsets }
      return kit.ask(`group/${group}`, command)
    }
  }
  const offsetOf = (group: string) => now(getGroup(kit.broker, group)).offsets.map(({ offset }) => offset)
  const series = (group: string): string | undefined =>
    new RegExp(`kafka_consumergroup_current_offset\\{consumergroup="${group}".*\\} (\\d+)`).exec(
      kit.broker.metrics.render()
    )?.[1]

  it("is what is durable, while a commit is held and once it is there", async () => {
    const commit = await start()
    await commit("billing", 3)
    journal.hold()
    const four = commit("billing", 4)
    await expect.poll(() => journal.undurable).toBe(1)
    const five = commit("billing", 5)
    const first = commit("audit", 1)
    await expect.poll(() => journal.undurable).toBe(2)
    expect([offsetOf("billing"), series("billing"), groupNames(kit.broker)]).toEqual([[3], "3", ["billing"]])
    expect(() => now(getGroup(kit.broker, "audit"))).toThrow("no group")
    journal.makeDurable(1)
    await four
    expect([offsetOf("billing"), series("billing"), series("audit")]).toEqual([[4], "4", undefined])
    journal.makeDurable(1)
    await Promise.all([five, first])
    expect([offsetOf("billing"), series("billing"), series("audit")]).toEqual([[5], "5", "1"])
    expect(newestState(kit.shard.actors, "group/billing")).toBe(kit.shard.view(GroupStates).get(groupActor("billing")))
  })

  it("is never what a commit that failed would have made of it", async () => {
    const commit = await start()
    await commit("billing", 3)
    journal.hold()
    void commit("billing", 4)
    void commit("audit", 1)
    await expect.poll(() => journal.undurable).toBe(1)
    journal.refuse("no space left on device")
    await expect.poll(() => kit.shard.isPoisoned).toBe(true)
    expect([offsetOf("billing"), series("billing"), groupNames(kit.broker)]).toEqual([[3], "3", ["billing"]])
    expect(series("audit")).toBe(undefined)
  })
})
