import { CatalogKind } from "@logbrook/actors/catalog/CatalogProtocol"
import { GroupKind } from "@logbrook/actors/group/GroupProtocol"
import { PartitionKind } from "@logbrook/actors/partition/Partition"
import type { GroupState } from "@logbrook/actors/group/groupState"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { expect, it } from "vitest"
import { forgetDeletedStreams } from "../src/streams/forgetDeletedStreams.ts"
import { ShardHarness } from "./tools/ShardHarness.ts"
import { newestState } from "../../core/test/support/newestState.ts"

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
