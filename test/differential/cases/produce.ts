import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { type Ask, type Case, every, type Family } from "../Case.ts"
import { batch, beganMs, named, nowhere, plain, spoilt } from "../fixtures.ts"

export const produceAsk =
  (topic: string, index: number, records: Uint8Array | null, acks = -1): Ask<typeof Produce> =>
  (side, version) => ({
    transactionalId: null,
    acks,
    timeoutMs: 5000,
    topicData: [{ ...named(side, version, 13, topic), partitionData: [{ index, records }] }]
  })

const produce = (): ReadonlyArray<Case> => {
  const good = batch(["a", "b"])
  const asks: ReadonlyArray<readonly [string, Ask<typeof Produce>]> = [
    ["a batch", produceAsk(plain, 0, good)],
    ["a batch, acks 1", produceAsk(plain, 1, good, 1)],
    ["acks 2", produceAsk(plain, 0, good, 2)],
    ["to no topic", produceAsk(nowhere, 0, good)],
    ["to no partition", produceAsk(plain, 77, good)],
    ["to a negative partition", produceAsk(plain, -1, good)],
    ["a wrong checksum", produceAsk(plain, 0, spoilt(good, good.length - 1))],
    ["a wrong count", produceAsk(plain, 0, spoilt(good, 60))],
    ["old magic", produceAsk(plain, 0, spoilt(good, 16))],
    ["two batches", produceAsk(plain, 0, Buffer.concat([good, good]))],
    ["half a batch", produceAsk(plain, 0, good.subarray(0, good.length - 3))],
    ["no bytes", produceAsk(plain, 0, new Uint8Array(0))],
    ["times far ahead", produceAsk(plain, 0, batch(["x"], { firstMs: beganMs + 10 * 3_600_000 }))]
  ]
  return asks.flatMap(([what, ask]) => every(Produce, [3, 13], what, ask))
}

export const produceFamily: Family = { name: "produce", topics: [], cases: produce }
