import { describe, expect, it } from "vitest"
import { can, type TransactionStateName, unusedLife } from "../../src/transaction/transactionMachine.ts"
import type { TransactionEvent } from "../../src/transaction/TransactionProtocol.ts"
import { weightBytesOf } from "../../src/transaction/transactionState.ts"
import { type Producer, TransactionHarness } from "./TransactionHarness.ts"

const nobody = (): Producer => ({ producerId: -1, producerEpoch: -1 })

/** A coordinator in each of its states, and the producer that brought it there. */
const reached = (
  name: TransactionStateName
): { readonly coordinator: TransactionHarness; readonly producer: Producer } => {
  const coordinator = new TransactionHarness()
  const producer = coordinator.begin()
  if (name !== "Empty") coordinator.add(producer, 7)
  if (name.endsWith("Commit")) coordinator.end(producer, "commit")
  if (name.endsWith("Abort")) coordinator.end(producer, "abort")
  if (name.startsWith("Complete")) coordinator.finish()
  expect(coordinator.state.name).toBe(name)
  return { coordinator, producer }
}

const names = ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"] as const

describe("a producer that begins", () => {
  it("gets a new id with epoch 0, and the next epoch each time that it begins again", () => {
    const coordinator = new TransactionHarness()
    expect(coordinator.begin()).toEqual({ producerId: 100, producerEpoch: 0 })
    expect(coordinator.begin()).toEqual({ producerId: 100, producerEpoch: 1 })
  })

  it("fences the one before: its requests are refused", () => {
    const coordinator = new TransactionHarness()
    const zombie = coordinator.begin()
    const producer = coordinator.begin()
    expect(coordinator.add(zombie, 7)).toBe("ProducerFenced")
    expect(coordinator.addGroup(zombie, "g")).toBe("ProducerFenced")
    expect(coordinator.end({ ...zombie }, "commit")).toBe("ProducerFenced")
    expect(coordinator.end({ ...zombie }, "commit", 1)).toBe("ProducerFenced")
    expect(coordinator.init({ ...zombie })).toBe("ProducerFenced")
    expect(coordinator.add(producer, 7)).toEqual({ _tag: "PartitionsAdded" })
    expect(coordinator.verify(zombie, 7)).toBe("ProducerFenced")
    expect(coordinator.init({ ...zombie }), "nor does a zombie abort what is open").toBe("ProducerFenced")
    expect(coordinator.state.name).toBe("Ongoing")
  })

  it("goes on with its own epoch, and is answered alike when it asks again", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin()
    const again = { ...producer }
    expect(coordinator.init(producer)).toMatchObject({ producerEpoch: 1 })
    expect(coordinator.init(again)).toMatchObject({ producerEpoch: 1 })
  })

  it("aborts what is open first, with an epoch of its own, and is told to come again until that is done", () => {
    const { coordinator } = reached("Ongoing")
    const next = nobody()
    expect(coordinator.init(next)).toBe("ConcurrentTransactions")
    expect(coordinator.state.name).toBe("PrepareAbort")
    expect(coordinator.events.slice(-2).map(({ _tag }) => _tag)).toEqual(["ProducerFenced", "AbortPrepared"])
    expect(coordinator.told).toMatchObject([
      { outcome: "abort", producerEpoch: 1, version: 2, partitions: [{ logId: 7 }] }
    ])
    expect(coordinator.init(next)).toBe("ConcurrentTransactions")
    coordinator.finish()
    expect(coordinator.init(next)).toEqual({ _tag: "ProducerInitialized", producerId: 100, producerEpoch: 2 })
  })

  it("is not fenced by its own request, which aborts what it has open: it goes on with the epoch that the abort has raised", () => {
    const { coordinator, producer } = reached("Ongoing")
    const again = { ...producer }
    expect(coordinator.init(producer)).toBe("ConcurrentTransactions")
    expect(coordinator.state.name).toBe("PrepareAbort")
    expect(coordinator.init(producer)).toBe("ConcurrentTransactions")
    coordinator.finish()
    const raised = { producerId: again.producerId, producerEpoch: again.producerEpoch + 1 }
    expect(coordinator.init(producer)).toEqual({ _tag: "ProducerInitialized", ...raised })
    expect(coordinator.init(again), "it asks again").toEqual({ _tag: "ProducerInitialized", ...raised })
    expect(coordinator.add(producer, 7)).toEqual({ _tag: "PartitionsAdded" })
  })

  it("is fenced by another that begins while its own request aborts what it has open", () => {
    const { coordinator, producer } = reached("Ongoing")
    expect(coordinator.init(producer)).toBe("ConcurrentTransactions")
    coordinator.finish()
    const other = coordinator.begin()
    expect(other.producerEpoch).toBe(producer.producerEpoch + 2)
    expect(coordinator.init(producer)).toBe("ProducerFenced")
  })

  it("gets a new id when its own request has aborted what it has open with the last epoch of the old one", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin()
    coordinator.exhaust(producer)
    coordinator.add(producer, 7)
    const again = { ...producer }
    expect(coordinator.init(producer)).toBe("ConcurrentTransactions")
    coordinator.finish()
    expect(coordinator.init(producer)).toMatchObject({ producerEpoch: 0 })
    expect(producer.producerId).not.toBe(again.producerId)
    expect(coordinator.init(again), "it asks again").toEqual({ _tag: "ProducerInitialized", ...producer })
  })

  it("gets a new id when the epochs of the old one are exhausted, also when it asks again", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin()
    coordinator.exhaust(producer)
    const again = { ...producer }
    expect(coordinator.init(producer)).toMatchObject({ producerEpoch: 0 })
    expect(producer.producerId).not.toBe(again.producerId)
    expect(coordinator.init(again)).toEqual({ _tag: "ProducerInitialized", ...producer })
    const stranger = { producerId: 1, producerEpoch: 32_766 }
    expect(coordinator.init(stranger)).toBe("ProducerFenced")
  })

  it("is fenced by an id behind its own, also where that has the epoch of its own", () => {
    for (const name of ["Empty", "Ongoing"] as const) {
      const coordinator = new TransactionHarness()
      const zombie = coordinator.begin()
      coordinator.exhaust(zombie)
      const producer = { ...zombie }
      coordinator.init(producer)
      coordinator.exhaust(producer)
      if (name === "Ongoing") coordinator.add(producer, 7)
      expect(producer.producerEpoch).toBe(zombie.producerEpoch)
      expect(coordinator.init(zombie)).toBe("ProducerFenced")
      expect(coordinator.state).toMatchObject({ name, life: producer })
    }
  })

  it("is refused a timeout of nothing, or of more than the server allows", () => {
    const coordinator = new TransactionHarness({ timeoutMsMax: 3_600_000 })
    expect(coordinator.init(nobody(), 0)).toBe("InvalidTransactionTimeout")
    expect(coordinator.init(nobody(), 3_600_001)).toBe("InvalidTransactionTimeout")
    expect(coordinator.events).toEqual([])
    expect(coordinator.init(nobody(), 3_600_000), "Flink's").toMatchObject({ _tag: "ProducerInitialized" })
  })
})

describe("partitions and groups", () => {
  it("begin a transaction, and are the transaction's until it ends", () => {
    const { coordinator, producer } = reached("Empty")
    expect(coordinator.verify(producer, 7)).toBe("TransactionAbortable")
    coordinator.add(producer, 7, 8)
    coordinator.addGroup(producer, "g")
    expect(coordinator.verify(producer, 7, 8)).toEqual({ _tag: "PartitionsAdded" })
    expect(coordinator.verify(producer, 7, 9)).toBe("TransactionAbortable")
    coordinator.end(producer, "commit")
    expect(coordinator.told).toMatchObject([
      { outcome: "commit", producerEpoch: 1, version: 2, partitions: [{ logId: 7 }, { logId: 8 }], groups: ["g"] }
    ])
    coordinator.finish()
    expect(coordinator.verify(producer, 7)).toBe("TransactionAbortable")
    expect(coordinator.state.life.startedAtMs).toBe(-1)
  })

  it("are added once: what is there already is no event", () => {
    const { coordinator, producer } = reached("Ongoing")
    coordinator.addGroup(producer, "g")
    const before = coordinator.events.length
    coordinator.add(producer, 7)
    coordinator.addGroup(producer, "g")
    expect(coordinator.events).toHaveLength(before)
    coordinator.add(producer, 7, 8)
    expect(coordinator.events.at(-1)).toMatchObject({ partitions: [{ logId: 8 }] })
  })

  it("wait while the transaction before is ending", () => {
    for (const name of ["PrepareCommit", "PrepareAbort"] as const) {
      const { coordinator, producer } = reached(name)
      expect(coordinator.add(producer, 8)).toBe("ConcurrentTransactions")
      expect(coordinator.addGroup(producer, "g")).toBe("ConcurrentTransactions")
      expect(coordinator.verify(producer, 7)).toBe("ConcurrentTransactions")
    }
  })

  it("of another producer id, or of a transactional id that nobody began, are no part of it", () => {
    const { coordinator, producer } = reached("Empty")
    expect(coordinator.add({ ...producer, producerId: 5 }, 7)).toBe("InvalidProducerIdMapping")
    const unused = new TransactionHarness()
    expect(unused.add({ producerId: 5, producerEpoch: 0 }, 7)).toBe("InvalidProducerIdMapping")
    expect(unused.add(nobody(), 7)).toBe("InvalidProducerIdMapping")
    expect(unused.end(nobody(), "abort")).toBe("InvalidProducerIdMapping")
    expect(unused.end(nobody(), "abort", 1)).toBe("InvalidProducerIdMapping")
    expect(unused.events).toEqual([])
  })

  it("need a transactional id, which begins where there may be one more, and goes on anyway", () => {
    const coordinator = new TransactionHarness()
    coordinator.mayBeNew = false
    expect(coordinator.init(nobody())).toBe("TooManyTransactionalIds")
    expect(coordinator.init(nobody(), 0), "whatever is wrong with it comes first").toBe("InvalidTransactionTimeout")
    expect(coordinator.events).toEqual([])
    coordinator.mayBeNew = true
    coordinator.begin()
    coordinator.mayBeNew = false
    expect(coordinator.begin().producerEpoch).toBe(1)
  })

  it("are bounded, by their number and by memory", () => {
    const coordinator = new TransactionHarness({ membersMax: 2 })
    const producer = coordinator.begin()
    coordinator.add(producer, 7)
    coordinator.addGroup(producer, "g")
    expect(coordinator.add(producer, 8)).toBe("TooManyMembers")
    expect(coordinator.addGroup(producer, "h")).toBe("TooManyMembers")
    coordinator.membersRoomBytes = 0
    expect(coordinator.add(producer, 7), "which is there already").toEqual({ _tag: "PartitionsAdded" })
    const full = new TransactionHarness()
    full.idsRoomBytes = 100
    expect(full.init(nobody())).toBe("NoMemory")
    expect(full.events).toEqual([])
  })

  it("have memory of their own, so that ids, however many, keep no transaction from going on", () => {
    const { coordinator, producer } = reached("Empty")
    coordinator.idsRoomBytes = 0
    expect(coordinator.add(producer, 7)).toEqual({ _tag: "PartitionsAdded" })
    expect(coordinator.addGroup(producer, "g")).toEqual({ _tag: "GroupAdded" })
    expect(coordinator.init(nobody())).toBe("ConcurrentTransactions")
    coordinator.membersRoomBytes = 0
    coordinator.finish()
    expect(coordinator.init(producer)).toBe("ProducerFenced")
    const next = coordinator.begin()
    expect(coordinator.add(next, 7)).toBe("NoMemory")
    expect(coordinator.addGroup(next, "g")).toBe("NoMemory")
    expect(coordinator.state.name).toBe("Empty")
  })

  it("are in the journal once, however often one request names them", () => {
    const { coordinator, producer } = reached("Empty")
    coordinator.add(producer, 7, 8, 7, 7)
    expect(coordinator.events.at(-1)).toMatchObject({ partitions: [{ logId: 7 }, { logId: 8 }] })
    coordinator.add(producer, 9, 9, 7)
    expect(coordinator.events.at(-1)).toMatchObject({ partitions: [{ logId: 9 }] })
  })
})

describe("an end of version 2", () => {
  const table: Readonly<Record<(typeof names)[number], ReadonlyArray<string>>> = {
    // abort by the epoch before, abort, commit by the epoch before, commit
    Empty: ["ProducerFenced", "EndPrepared", "ProducerFenced", "InvalidTxnState"],
    Ongoing: ["ProducerFenced", "EndPrepared", "ProducerFenced", "EndPrepared"],
    PrepareCommit: ["InvalidTxnState", "ProducerFenced", "ConcurrentTransactions", "ProducerFenced"],
    PrepareAbort: ["ConcurrentTransactions", "ProducerFenced", "InvalidTxnState", "ProducerFenced"],
    CompleteCommit: ["InvalidTxnState", "EndPrepared", "EndPrepared", "InvalidTxnState"],
    CompleteAbort: ["EndPrepared", "EndPrepared", "InvalidTxnState", "InvalidTxnState"]
  }
  for (const name of names) {
    it(`in ${name}`, () => {
      const answers = (["abort", "commit"] as const).flatMap((outcome) =>
        [1, 0].map((behind) => {
          const { coordinator, producer } = reached(name)
          const { producerId, producerEpoch } = producer
          const asking = { producerId, producerEpoch: producerEpoch - behind }
          const answer = coordinator.end(asking, outcome)
          return typeof answer === "string" ? answer : answer._tag
        })
      )
      expect(answers).toEqual(table[name])
    })
  }

  it.each([
    ["under way", false, "ConcurrentTransactions"],
    ["done", true, { _tag: "EndPrepared", producerId: 100, producerEpoch: 1 }]
  ])("by the epoch whose own InitProducerId began an abort is that abort, again: %s", (_what, isDone, aborted) => {
    const answers = (["abort", "commit"] as const).map((outcome) => {
      const { coordinator, producer } = reached("Ongoing")
      coordinator.init({ ...producer })
      if (isDone) coordinator.finish()
      return coordinator.end({ ...producer }, outcome)
    })
    expect(answers).toEqual([aborted, "InvalidTxnState"])
  })

  it("by the epoch before any other fence is fenced", () => {
    const fences: ReadonlyArray<(coordinator: TransactionHarness) => void> = [
      (coordinator) => void coordinator.init(nobody()),
      (coordinator) => coordinator.advance(60_000),
      (coordinator) => void coordinator.send({ _tag: "Abort" })
    ]
    for (const fence of fences) {
      const { coordinator, producer } = reached("Ongoing")
      fence(coordinator)
      expect(coordinator.state.name).toBe("PrepareAbort")
      expect(coordinator.end({ ...producer }, "abort")).toBe("ProducerFenced")
      coordinator.finish()
      expect(coordinator.end({ ...producer }, "abort")).toBe("ProducerFenced")
    }
  })

  it("never raises the epoch beyond the one that fences the greatest, of which nobody is told", () => {
    const fences: ReadonlyArray<(coordinator: TransactionHarness, producer: Producer) => void> = [
      (coordinator, producer) => void coordinator.init({ ...producer }),
      (coordinator) => coordinator.advance(60_000)
    ]
    for (const fence of fences) {
      const coordinator = new TransactionHarness()
      const producer = coordinator.begin()
      coordinator.exhaust(producer)
      coordinator.add(producer, 7)
      fence(coordinator, producer)
      expect(coordinator.told).toMatchObject([{ producerEpoch: 32_767, outcome: "abort" }])
      coordinator.finish()
      for (const producerEpoch of [32_766, 32_767]) {
        const asking = { ...producer, producerEpoch }
        expect(coordinator.add({ ...asking }, 7)).toBe("ProducerFenced")
        expect(coordinator.addGroup({ ...asking }, "g")).toBe("ProducerFenced")
        expect(coordinator.end({ ...asking }, "abort")).toBe("ProducerFenced")
        expect(coordinator.end({ ...asking }, "commit")).toBe("ProducerFenced")
      }
      expect(coordinator.begin().producerEpoch, "a new id").toBe(0)
    }
  })

  it("raises the epoch, and answers with it; that of an end without partitions too, at once", () => {
    const { coordinator, producer } = reached("Empty")
    expect(coordinator.end(producer, "abort")).toEqual({ _tag: "EndPrepared", producerId: 100, producerEpoch: 1 })
    expect(coordinator.state.name).toBe("CompleteAbort")
    expect(coordinator.told).toEqual([])
    coordinator.add(producer, 7)
    expect(coordinator.end(producer, "commit")).toEqual({ _tag: "EndPrepared", producerId: 100, producerEpoch: 2 })
  })

  it("goes on with a new id when the epochs are exhausted, also when it is asked for again", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin()
    coordinator.exhaust(producer)
    const exhausted = { ...producer }
    coordinator.add(producer, 7)
    const answer = coordinator.end(producer, "commit")
    expect(answer).toMatchObject({ _tag: "EndPrepared", producerEpoch: 0 })
    expect(producer.producerId).not.toBe(exhausted.producerId)
    expect(coordinator.told).toMatchObject([{ producerId: exhausted.producerId, producerEpoch: 32_767 }])
    expect(coordinator.end({ ...exhausted }, "commit")).toBe("ConcurrentTransactions")
    coordinator.finish()
    expect(coordinator.end({ ...exhausted }, "commit")).toEqual(answer)
    expect(coordinator.add(exhausted, 7)).toBe("InvalidProducerIdMapping")
    expect(coordinator.add(producer, 7)).toEqual({ _tag: "PartitionsAdded" })
  })
})

describe("an end of version 1", () => {
  const table: Readonly<Record<(typeof names)[number], ReadonlyArray<string>>> = {
    // abort, commit
    Empty: ["InvalidTxnState", "InvalidTxnState"],
    Ongoing: ["EndPrepared", "EndPrepared"],
    PrepareCommit: ["InvalidTxnState", "ConcurrentTransactions"],
    PrepareAbort: ["ConcurrentTransactions", "InvalidTxnState"],
    CompleteCommit: ["InvalidTxnState", "EndPrepared"],
    CompleteAbort: ["EndPrepared", "InvalidTxnState"]
  }
  for (const name of names) {
    it(`in ${name}`, () => {
      const answers = (["abort", "commit"] as const).map((outcome) => {
        const { coordinator, producer } = reached(name)
        const answer = coordinator.end(producer, outcome, 1)
        return typeof answer === "string" ? answer : answer._tag
      })
      expect(answers).toEqual(table[name])
    })
  }

  it("leaves the epoch as it is, in its markers too", () => {
    const { coordinator, producer } = reached("Ongoing")
    expect(coordinator.end(producer, "commit", 1)).toEqual({ _tag: "EndPrepared", ...producer })
    expect(coordinator.told).toMatchObject([{ producerEpoch: producer.producerEpoch, version: 1, outcome: "commit" }])
    coordinator.finish()
    expect(coordinator.add(producer, 8)).toEqual({ _tag: "PartitionsAdded" })
  })
})

describe("time", () => {
  it("ends a transaction that takes too long, without any request, and its producer is fenced", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin(10_000)
    coordinator.add(producer, 7)
    coordinator.advance(5_000)
    coordinator.add(producer, 8)
    coordinator.advance(4_999)
    expect(coordinator.state.name).toBe("Ongoing")
    coordinator.advance(1)
    expect(coordinator.told).toMatchObject([{ outcome: "abort", partitions: [{ logId: 7 }, { logId: 8 }] }])
    expect(coordinator.events).toContainEqual({ _tag: "ProducerFenced", producerEpoch: 1, reason: "timed out" })
    coordinator.finish()
    expect(coordinator.end(producer, "commit")).toBe("ProducerFenced")
  })

  it("counts from the start that is in the journal when the server was down meanwhile", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin(10_000)
    coordinator.add(producer, 7)
    coordinator.advance(4_000)
    coordinator.restart()
    coordinator.advance(5_999)
    expect(coordinator.state.name).toBe("Ongoing")
    coordinator.advance(1)
    expect(coordinator.state.name).toBe("PrepareAbort")
  })

  it("of a transaction that has ended does not end the next one", () => {
    const coordinator = new TransactionHarness()
    const producer = coordinator.begin(10_000)
    coordinator.add(producer, 7)
    const stale = coordinator.deadlines.get("timeout")!.command
    coordinator.advance(6_000)
    coordinator.end(producer, "commit")
    coordinator.finish()
    coordinator.add(producer, 7)
    coordinator.send(stale)
    coordinator.advance(6_000)
    expect(coordinator.state.name).toBe("Ongoing")
    coordinator.advance(4_000)
    expect(coordinator.state.name).toBe("PrepareAbort")
  })

  it("lets an id that nobody uses expire, and not while a transaction is open or ending", () => {
    const dayMs = 86_400_000
    const coordinator = new TransactionHarness({ idExpirationMs: 7 * dayMs, timeoutMsMax: 30 * dayMs })
    const producer = coordinator.begin(20 * dayMs)
    coordinator.advance(6 * dayMs)
    coordinator.add(producer, 7)
    coordinator.advance(8 * dayMs)
    expect(coordinator.state.name).toBe("Ongoing")
    coordinator.end(producer, "commit")
    coordinator.finish()
    coordinator.restart()
    coordinator.advance(7 * dayMs - 1)
    expect(weightBytesOf(coordinator.state)).toBeGreaterThan(0)
    coordinator.advance(2 * 7 * dayMs)
    expect(coordinator.state.name).toBe("Dead")
    expect(coordinator.definition.isEmpty(coordinator.state)).toBe(true)
    expect(weightBytesOf(coordinator.state)).toBe(0)
    expect(coordinator.end(producer, "abort")).toBe("InvalidProducerIdMapping")
    expect(coordinator.begin().producerEpoch, "as of an id that never was").toBe(0)
    expect(coordinator.state.life.lastProducerId).toBe(unusedLife.lastProducerId)
  })
})

describe("an id that shall give way to another", () => {
  it("is forgotten at rest, and stays while a transaction is open or ending", () => {
    for (const name of names) {
      const { coordinator, producer } = reached(name)
      const before = coordinator.state
      const answer = coordinator.send({ _tag: "ForgetAtRest" })
      if (name === "Ongoing" || name.startsWith("Prepare")) {
        expect(answer).toBe("InvalidTxnState")
        expect(coordinator.state).toBe(before)
        continue
      }
      expect(answer).toEqual({ _tag: "Done" })
      expect(coordinator.definition.isEmpty(coordinator.state)).toBe(true)
      expect([...coordinator.deadlines.keys()], "nothing waits for it").toEqual([])
      expect(coordinator.add(producer, 7)).toBe("InvalidProducerIdMapping")
      const events = coordinator.events.length
      expect(coordinator.send({ _tag: "ForgetAtRest" })).toEqual({ _tag: "Done" })
      expect(coordinator.events, "nothing is left of it").toHaveLength(events)
      expect(coordinator.begin().producerId).not.toBe(producer.producerId)
    }
  })
})

describe("an operator", () => {
  it("aborts what is open, and fences its producer", () => {
    const { coordinator, producer } = reached("Ongoing")
    expect(coordinator.send({ _tag: "Abort" })).toEqual({ _tag: "Done" })
    expect(coordinator.state.name).toBe("PrepareAbort")
    coordinator.finish()
    expect(coordinator.add(producer, 7)).toBe("ProducerFenced")
    expect(coordinator.send({ _tag: "Abort" })).toBe("InvalidTxnState")
  })

  it("is told what cannot be aborted", () => {
    expect(new TransactionHarness().send({ _tag: "Abort" })).toBe("TransactionalIdNotFound")
    expect(reached("PrepareCommit").coordinator.send({ _tag: "Abort" })).toBe("ConcurrentTransactions")
    expect(reached("Empty").coordinator.send({ _tag: "Abort" })).toBe("InvalidTxnState")
  })
})

describe("a crash", () => {
  for (const name of names) {
    it(`in ${name} loses nothing, and what was prepared is told until it is done`, () => {
      const { coordinator } = reached(name)
      const { state } = coordinator
      coordinator.restart()
      expect(coordinator.state).toEqual(state)
      const isPrepared = name.startsWith("Prepare")
      for (let tries = 0; tries < 3; tries++) {
        coordinator.advance(4_000)
        expect(coordinator.told.length > 0).toBe(isPrepared)
        coordinator.restart()
      }
      coordinator.advance(0)
      coordinator.finish()
      if (isPrepared) expect(coordinator.state.name).toBe(name.replace("Prepare", "Complete"))
      coordinator.advance(20_000)
      expect(coordinator.told, "no more of it").toEqual([])
    })
  }

  it("does not let a confirmation of another end complete this one", () => {
    const { coordinator, producer } = reached("Ongoing")
    coordinator.end(producer, "commit")
    const old = coordinator.told.slice()
    coordinator.finish()
    coordinator.add(producer, 8)
    coordinator.end(producer, "abort")
    for (const { producerId, producerEpoch } of old) coordinator.send({ _tag: "Complete", producerId, producerEpoch })
    expect(coordinator.state.name).toBe("PrepareAbort")
  })
})

describe("the machine", () => {
  const taken: Readonly<Record<TransactionStateName, ReadonlyArray<TransactionEvent["_tag"]>>> = {
    Empty: ["ProducerInitialized", "PartitionsAdded", "GroupAdded", "AbortPrepared", "TransactionalIdExpired"],
    Ongoing: ["PartitionsAdded", "GroupAdded", "ProducerFenced", "CommitPrepared", "AbortPrepared"],
    PrepareEpochFence: ["AbortPrepared"],
    PrepareCommit: ["TransactionCompleted"],
    PrepareAbort: ["TransactionCompleted"],
    CompleteCommit: ["ProducerInitialized", "PartitionsAdded", "GroupAdded", "AbortPrepared", "TransactionalIdExpired"],
    CompleteAbort: ["ProducerInitialized", "PartitionsAdded", "GroupAdded", "AbortPrepared", "TransactionalIdExpired"],
    Dead: ["ProducerInitialized"]
  }
  const tags: ReadonlyArray<TransactionEvent["_tag"]> = [
    "ProducerInitialized",
    "PartitionsAdded",
    "GroupAdded",
    "ProducerFenced",
    "CommitPrepared",
    "AbortPrepared",
    "TransactionCompleted",
    "TransactionalIdExpired"
  ]

  it("takes in each state what the table above it says, and refuses the rest", () => {
    for (const [name, events] of Object.entries(taken)) {
      const state = { name: name as TransactionStateName, life: unusedLife }
      expect([name, tags.filter((tag) => can(state, tag))]).toEqual([name, events])
    }
  })

  it("throws at an event that its state does not take", () => {
    const { coordinator } = reached("PrepareCommit")
    const event: TransactionEvent = { _tag: "ProducerFenced", producerEpoch: 9, reason: "timed out" }
    expect(() => coordinator.definition.evolve(coordinator.state, event)).toThrow("a state that does not take it")
  })
})
