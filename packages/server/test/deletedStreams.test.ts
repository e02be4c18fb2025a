import { CatalogKind } from "@logbrook/actors/catalog/CatalogProtocol"
import type { GroupState } from "@logbrook/actors/group/groupState"
import type { Stream } from "@logbrook/actors/catalog/CatalogProtocol"
import { systemClock } from "@logbrook/core/Clock"
import { FaultyJournal } from "@logbrook/core/journal/FaultyJournal"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import { expect, it } from "vitest"
import { Retention } from "../src/Retention.ts"
import { forgetDeletedStreams } from "../src/streams/forgetDeletedStreams.ts"
import { ShardHarness } from "./tools/ShardHarness.ts"
import { newestState } from "../../core/test/support/newestState.ts"

/** What is left of a server that had two streams, and was killed as soon as the deletion of one was durable. */
const killedBehindDeletion = async (): Promise<ShardHarness> => {
  const journal = new MemoryJournal(systemClock)
  let isKilled = false
  const faulty = new FaultyJournal(journal, systemClock, () => (isKilled ? { _tag: "CrashBefore" } : undefined))
  const harness = new ShardHarness(faulty)
  await harness.createStream("gone", [], 2)
  await harness.createStream("kept", [], 1)
  for (const logId of logIdsOf(harness)) await harness.append(logId, "x")
  await harness.commitOffset("group", "gone", 1, 1)
  await harness.commitOffset("group", "kept", 0, 1)
  harness.shard.observe(CatalogKind, (_actor, event) => {
    isKilled = event._tag === "StreamDeleted"
  })
  void harness.ask("catalog/0", { _tag: "DeleteStream", name: "gone" })
  await expect.poll(() => faulty.crashed).toBe(true)
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

it("a start forgets the committed offsets of a stream that was deleted just before a crash", async () => {
  const harness = await killedBehindDeletion()
  const [kept] = streamsOf(harness)
  expect([kept!.name, offsetsOf(harness).length]).toEqual(["kept", 2])
  forgetDeletedStreams(harness.broker)
  await expect.poll(() => offsetsOf(harness)).toEqual([kept!.topicId])
})

it("retention deletes the logs of a stream that was deleted just before a crash", async () => {
  const harness = await killedBehindDeletion()
  const { logs } = harness.shard
  const ids = () => Array.from(logs.logs(), ({ id }) => id).toSorted((a, b) => a - b)
  expect(ids()).toHaveLength(3)
  const retention = new Retention(harness.broker)
  for (let looks = 0; looks < 10; looks++) retention.look()
  await expect.poll(ids).toEqual(logIdsOf(harness))
})
