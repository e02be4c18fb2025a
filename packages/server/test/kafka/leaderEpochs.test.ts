import type { Shard } from "@logbrook/core/shard/Shard"
import { Log } from "@logbrook/core/storage/Log"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { describe, expect, it } from "vitest"
import { checkLeaderEpoch, endOfEpoch } from "../../src/kafka/leaderEpochs.ts"

/** In its seventh epoch, of a log that was written to in the second, the fourth and the sixth. */
const epochs = [
  { epoch: 2, startOffset: 5 },
  { epoch: 4, startOffset: 10 },
  { epoch: 6, startOffset: 20 }
]
const shard = { epoch: 7 } as Shard

const endOf = (epoch: number, highWatermark: number) => {
  const end = endOfEpoch(shard, Object.assign(new Log(1), { highWatermark, epochs }), epoch)
  return [end.epoch, end.endOffset]
}

describe("the end of an epoch (KIP-320)", () => {
  it("is where the next one began", () => {
    expect(endOf(2, 30)).toEqual([2, 10])
    expect(endOf(4, 30)).toEqual([4, 20])
  })

  it("is the high watermark where no other has begun", () => {
    expect(endOf(6, 30)).toEqual([6, 30])
    expect(endOf(7, 30)).toEqual([7, 30])
  })

  it("of one in which nothing was written is that of the one before", () => {
    expect(endOf(3, 30)).toEqual([2, 10])
    expect(endOf(5, 30)).toEqual([4, 20])
    expect(endOf(1, 30)).toEqual([1, 5])
  })

  it("of one that never was is unknown", () => {
    expect(endOf(8, 30)).toEqual([-1, -1])
    expect(endOf(-1, 30)).toEqual([-1, -1])
  })
})

it("a client's leader epoch is checked against the shard's", () => {
  expect([-1, 7, 6, 8].map((epoch) => checkLeaderEpoch(shard, epoch))).toEqual([
    KafkaError.NONE,
    KafkaError.NONE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH
  ])
})
