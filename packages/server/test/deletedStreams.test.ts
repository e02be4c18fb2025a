import { CatalogKind } from "@logbrook/actors/catalog/CatalogProtocol"
import { GroupKind } from "@logbrook/actors/group/GroupProtocol"
import { PartitionKind } from "@logbrook/actors/partition/Partition"
import type { GroupState } from "@logbrook/actors/group/groupState"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { defaultLimits } from "@logbrook/core/Limits"
import { expect, it } from "vitest"
import { definitions } from "../src/Broker.ts"
import { forgetDeletedStreams } from "../src/streams/forgetDeletedStreams.ts"
import { ShardHarness } from "./tools/ShardHarness.ts"
import { newestState } from "../../core/test/support/newestState.ts"

/** Partitions as they are, whose logs cannot be deleted. */
const withoutDeletingLogs = (definition: AnyDefinition): AnyDefinition => {
  if (definition.kind !== PartitionKind.name) return definition
  const decide: AnyDefinition["decide"] = (state, command, nowMs) => {
    if (command._tag === "DeleteLog") throw new Error("the log cannot be deleted")
    return definition.decide(state, command, nowMs)
  }
  return { ...definition, decide }
}

/** What is left of a server that had two streams, and was killed as soon as the deletion of one was durable. */
const killedBehindDeletion = async (): Promise<ShardHarness> => {
  const journal = new MemoryJournal(systemClock)
  const harness = new ShardHarness(journal)
  await harness.createStream("gone", [], 2)
  await harness.createStream("kept", [], 1)
  for (const logId of logIdsOf(harness)) await harness.append(logId, "x")
  await harness.commitOffset("group", "gone", 1, 1)
  await harness.commitOffset("group", "kept", 0, 1)
  await harness.ask("catalog/0", { _tag: "DeleteStream", name: "gone" })
  harness.shard.stop()
  return new ShardHarness(journal)
}

const streamsOf = ({ shard }: ShardHarness): ReadonlyArray<Stream> => {
  const { streams } = newestState<{ readonly streams: ReadonlyMap<string, Stream> }>(shard.actors, "catalog/0")!
  return [...streams.values()]
}

const logIdsOf = (harness: ShardHarness): ReadonlyArray<number> => streamsOf(harness).flatMap(({ logIds }) => logIds)

const offsetsOf = ({ shard }: ShardHarness): ReadonlyArray<string> => [
  ...newestState<GroupState>(shard.actors, "group/group")!.offsets.topics.keys()
]

it("a start forgets the committed offsets of a stream that was deleted just before a crash, and deletes its logs", async () => {
  const harness = await killedBehindDeletion()
  const [kept] = streamsOf(harness)
  const { logs } = harness.shard
  const ids = () => Array.from(logs.logs(), ({ id }) => id).toSorted((a, b) => a - b)
  expect([kept!.name, offsetsOf(harness).length, ids().length]).toEqual(["kept", 2, 3])
  forgetDeletedStreams(harness.broker)
  await expect.poll(() => offsetsOf(harness)).toEqual([kept!.topicId])
  await expect.poll(ids).toEqual(kept!.logIds)
  expect(newestState(harness.shard.actors, "catalog/0")).toMatchObject({ deletions: [] })
})

it("a deletion is told again until its logs are deleted, and all of it is one commit", async () => {
  const harness = await killedBehindDeletion()
  const { shard } = harness
  const ids = new Set<string>()
  const commits: Array<number> = []
  const ofDeletion = new Set(["LogDeleted", "OffsetsForgotten", "DeletionConfirmed"])
  for (const kind of [CatalogKind, PartitionKind, GroupKind]) {
    shard.observe(kind, (actor, event, seq) => {
      if (!ofDeletion.has(event._tag)) return
      ids.add(actor)
      commits.push(seq)
    })
  }
  let lost = 0
  shard.onNotice(CatalogKind, () => lost++)
  await expect.poll(() => lost).toBe(1)
  forgetDeletedStreams(harness.broker)
  await expect
    .poll(() => [...ids].toSorted(), { timeout: 10_000 })
    .toEqual(["catalog/0", "group/group", "partition/2", "partition/3"])
  expect(Math.max(...commits) - Math.min(...commits)).toBe(3)
})

it("a deletion that was not confirmed is told again, and what is done twice changes nothing", async () => {
  const harness = await killedBehindDeletion()
  forgetDeletedStreams(harness.broker)
  await expect.poll(() => newestState(harness.shard.actors, "catalog/0")).toMatchObject({ deletions: [] })
  const { nextSeq } = harness.shard
  for (let times = 0; times < 2; times++) {
    await harness.ask("catalog/0", { _tag: "ConfirmDeletion", topicId: "gone already" })
    await harness.ask("catalog/0", { _tag: "RepeatIntents", delayMs: 1000 })
  }
  expect(harness.shard.nextSeq).toBe(nextSeq)
})

it("offsets whose commit waited for the deletion go as well", async () => {
  const harness = new ShardHarness(new MemoryJournal(systemClock))
  await harness.createStream("gone", [], 1)
  await harness.createStream("kept", [], 1)
  await harness.commitOffset("group", "kept", 0, 1)
  const [kept] = offsetsOf(harness)
  const commits: Array<Promise<unknown>> = []
  harness.shard.observe(CatalogKind, (_actor, { _tag }) => {
    if (_tag === "StreamDeleted") commits.push(harness.commitOffset("group", "gone", 0, 1))
  })
  forgetDeletedStreams(harness.broker)
  await harness.ask("catalog/0", { _tag: "DeleteStream", name: "gone" })
  await expect.poll(() => commits.length).toBe(1)
  await commits[0]
  await expect.poll(() => offsetsOf(harness)).toEqual([kept])
})

it("a deletion is not confirmed while one of its logs is still there", async () => {
  const journal = new MemoryJournal(systemClock)
  const defects: Array<unknown> = []
  const actors = definitions(defaultLimits).map(withoutDeletingLogs)
  const faults = { defect: (_where: string, defect: unknown) => defects.push(defect) }
  const harness = new ShardHarness(journal, { definitions: actors, faults })
  await harness.createStream("gone", [], 2)
  forgetDeletedStreams(harness.broker)
  await harness.ask("catalog/0", { _tag: "DeleteStream", name: "gone" })
  await expect.poll(() => defects.length).toBe(2)
  await harness.createStream("behind-it", [], 1)
  const { deletions } = newestState<{ readonly deletions: ReadonlyArray<unknown> }>(harness.shard.actors, "catalog/0")!
  expect(deletions).toHaveLength(1)
})
