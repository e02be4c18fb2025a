import { Metadata } from "@logbrook/protocols/kafka/messages/03_Metadata"
import { OffsetFetch } from "@logbrook/protocols/kafka/messages/09_OffsetFetch"
import { OffsetForLeaderEpoch } from "@logbrook/protocols/kafka/messages/23_OffsetForLeaderEpoch"
import { DescribeQuorum } from "@logbrook/protocols/kafka/messages/55_DescribeQuorum"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { afterEach, describe, expect, it } from "vitest"
import { HeldJournal } from "../../../core/test/support/HeldJournal.ts"
import { batchOf, startKit, type Kit, type RawClient } from "./kit.ts"

const journal = { held: new HeldJournal() }
let kit: Kit
let client: RawClient

afterEach(async () => {
  journal.held.release()
  await kit.close()
})

const start = async (): Promise<void> => {
  kit = await startKit({ journal: journal.held, limits: { commitPacingMs: 0 } })
  client = await kit.connect()
}

const begin = async (): Promise<{ readonly topicId: string; readonly logIds: ReadonlyArray<number> }> => {
  journal.held = new HeldJournal()
  await start()
  return kit.createStream("orders")
}

/** Until `commits` are handed over and not durable. */
const isHeld = (commits: number) => expect.poll(() => journal.held.undurable).toBe(commits)
const isPoisoned = () => expect.poll(() => kit.shard.isPoisoned).toBe(true)

const topicNames = async (from = client) =>
  (await from.send(Metadata, 1, { topics: null })).topics.map(({ name }) => name).sort()

const produce = (value: string) => {
  const partitionData = [{ index: 0, records: batchOf([value]) }]
  return client.send(Produce, 9, { acks: -1, timeoutMs: 1000, topicData: [{ name: "orders", partitionData }] })
}

/** Where leader epochs 1 and 2 end, as another connection is told. */
const epochEnds = async () => {
  const other = await kit.connect()
  const ends: Array<readonly [number, number]> = []
  for (const leaderEpoch of [1, 2]) {
    const partitions = [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch }]
    const { topics } = await other.send(OffsetForLeaderEpoch, 3, { topics: [{ topic: "orders", partitions }] })
    const end = topics[0]!.partitions[0]!
    ends.push([end.leaderEpoch, end.endOffset])
  }
  return ends
}

const commit = (topicId: string, offset: number): Promise<unknown> => {
  const offsets = [{ topicId, stream: "orders", partition: 0, offset, leaderEpoch: -1, metadata: "" }]
  const command = { _tag: "CommitOffsets", generation: -1, memberId: "", groupInstanceId: null, offsets }
  return kit.ask("group/billing", command)
}

const offsets = async () => {
  const topics = [{ name: "orders", partitionIndexes: [0] }]
  const answer = await client.send(OffsetFetch, 5, { groupId: "billing", topics })
  return answer.topics[0]!.partitions[0]!.committedOffset
}

const watermark = async () => {
  const topics = [{ topicName: "__cluster_metadata", partitions: [{ partitionIndex: 0 }] }]
  return (await client.send(DescribeQuorum, 2, { topics })).topics[0]!.partitions[0]!.highWatermark
}

describe("what Kafka clients are told is durable", () => {
  it("topics", async () => {
    await begin()
    journal.held.hold()
    const made = kit.createStream("bills")
    await isHeld(1)
    expect(await topicNames()).toEqual(["orders"])
    journal.held.release()
    await made
    expect(await topicNames()).toEqual(["bills", "orders"])
  })

  it("the journal's end, as a quorum's high watermark", async () => {
    await begin()
    const before = await watermark()
    journal.held.hold()
    const made = kit.createStream("bills")
    await isHeld(1)
    expect(await watermark()).toBe(before)
    journal.held.release()
    await made
    expect(await watermark()).toBeGreaterThan(before)
  })

  it("topics, whose commit then fails", async () => {
    await begin()
    journal.held.hold()
    void kit.createStream("bills")
    await isHeld(1)
    journal.held.refuse("no space left on device")
    await isPoisoned()
    expect(await topicNames()).toEqual(["orders"])
  })

  it("a committed offset: who asks for it is answered behind the commit", async () => {
    const { topicId } = await begin()
    await commit(topicId, 3)
    journal.held.hold()
    const four = commit(topicId, 4)
    await isHeld(1)
    let isAnswered = false
    const asked = offsets().finally(() => (isAnswered = true))
    // Its turn has no commit, and waits for the one before.
    expect(await topicNames(await kit.connect())).toEqual(["orders"])
    expect(isAnswered).toBe(false)
    journal.held.release()
    await four
    expect(await asked).toBe(4)
  })

  it("a committed offset: nobody hears of one whose commit fails", async () => {
    const { topicId } = await begin()
    await commit(topicId, 3)
    journal.held.hold()
    void commit(topicId, 4)
    await isHeld(1)
    const asked = offsets().then(
      (offset) => offset,
      () => "never"
    )
    journal.held.refuse("no space left on device")
    await isPoisoned()
    client.socket.destroy()
    expect(await asked).toBe("never")
  })

  it("leader epochs and where they end", async () => {
    const { logIds } = await begin()
    await produce("first")
    await kit.close()
    await start()
    journal.held.hold()
    const second = produce("second")
    await isHeld(1)
    expect(await epochEnds()).toEqual([
      [1, 1],
      [2, 1]
    ])
    expect(kit.shard.logs.log(logIds[0]!).epochs).toEqual([{ epoch: 1, startOffset: 0 }])
    journal.held.release()
    await second
    expect(await epochEnds()).toEqual([
      [1, 1],
      [2, 2]
    ])
    journal.held.hold()
    void produce("third").catch(() => undefined)
    await isHeld(1)
    journal.held.refuse("no space left on device")
    await isPoisoned()
    expect(await epochEnds()).toEqual([
      [1, 1],
      [2, 2]
    ])
  })
})
