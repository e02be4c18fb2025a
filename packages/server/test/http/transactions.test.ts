import { transactionActor } from "@logbrook/actors/transaction/TransactionProtocol"
import { systemClock } from "@logbrook/core/Clock"
import { MemoryJournal } from "@logbrook/core/journal/MemoryJournal"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { beforeEach, describe, expect, it } from "vitest"
import type { Broker } from "../../src/Broker.ts"
import { refusalOf } from "../../src/http/refusals.ts"
import { abortTransaction, getTransaction, transactionalIds, transactionSummary } from "../../src/http/transactions.ts"
import { now } from "../support/now.ts"
import { ShardHarness } from "../tools/ShardHarness.ts"

const id = "billing"

let harness: ShardHarness
let broker: Broker

beforeEach(async () => {
  harness = new ShardHarness(new MemoryJournal(systemClock))
  broker = harness.broker
  await harness.createStream("orders", [], 2)
  const none = { producerId: -1, producerEpoch: -1 }
  const first = { ...none, timeoutMs: 60_000, newProducerId: 7, mayBeNew: true }
  await harness.ask(transactionActor(id), { _tag: "InitProducer", ...first })
})

const begin = async (): Promise<void> => {
  const { topicId, logIds } = broker.directory.byName("orders")!
  const partitions = [{ topicId, stream: "orders", partition: 0, logId: logIds[0]! }]
  await harness.ask(transactionActor(id), { _tag: "AddPartitions", producerId: 7, producerEpoch: 0, partitions })
}

const abort = (name: string) => Effect.runPromise(Effect.either(abortTransaction(broker, name)))

describe("transactions over HTTP", () => {
  it("are listed and described", async () => {
    expect(transactionalIds(broker)).toEqual([id])
    expect(transactionSummary(broker, id)).toMatchObject({ state: "Empty", producerId: 7, openMs: null })
    await begin()
    expect(transactionSummary(broker, id)).toMatchObject({ state: "Ongoing", partitions: 1, groups: 0 })
    expect(transactionSummary(broker, id).openMs).toBeGreaterThanOrEqual(0)
    expect(now(getTransaction(broker, id))).toMatchObject({
      state: "Ongoing",
      timeoutMs: 60_000,
      partitions: [{ stream: "orders", partition: 0 }]
    })
  })

  it("are aborted while they are open, and the producer is fenced", async () => {
    await begin()
    expect(await abort(id)).toEqual(Either.right({ producerId: 7, partitions: 1, groups: 0 }))
    expect(broker.transactions.get(id)).toMatchObject({ name: expect.stringMatching(/Abort$/) })
    expect(broker.transactions.get(id)!.life.producerEpoch).toBeGreaterThan(0)
  })

  it("are refused an abort when none is open, or nobody has the id", async () => {
    const codes = []
    for (const name of [id, "nobody"]) {
      const answer = await abort(name)
      codes.push(Either.isLeft(answer) ? refusalOf(answer.left).code : undefined)
    }
    expect(codes).toEqual(["NO_OPEN_TRANSACTION", "UNKNOWN_TRANSACTIONAL_ID"])
  })

  it("are refused an abort while they are ending, and told that this is why", async () => {
    await begin()
    const end = { producerId: 7, producerEpoch: 0, outcome: "commit", version: 2, newProducerId: -1 } as const
    const asked = [harness.ask(transactionActor(id), { _tag: "End", ...end }), abort(id)] as const
    const answer = (await Promise.all(asked))[1]
    expect(Either.isLeft(answer) && refusalOf(answer.left).code).toBe("TRANSACTION_ENDING")
  })
})
