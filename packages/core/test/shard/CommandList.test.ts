import * as Exit from "effect/Exit"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { address } from "@logbrook/core/actor/Kind"
import { noHeaders } from "@logbrook/core/Record"
import {
  answerOf,
  CommandList,
  fromEntry,
  type ListAnswer,
  NotDecided,
  type RecordPlace,
  type RecordRefusal,
  type EntryIndex
} from "@logbrook/core/shard/CommandList"
import { PartitionBatch } from "@logbrook/core/shard/Intake"
import { breakTurn } from "../support/breakTurn.ts"
import { newestState } from "../support/newestState.ts"
import { ShardHarness } from "../support/ShardHarness.ts"
import { Counter, counter, type CounterState, ToyPartitionKind } from "../support/toys.ts"

const partition = (logId: number) => address(ToyPartitionKind, logId)

/** Puts a record into the turn's partition batch of the log, as a publisher does. */
const addRecord = (harness: ShardHarness, list: CommandList, logId: number): EntryIndex<RecordPlace, RecordRefusal> => {
  const batch = harness.shard.partitionBatch(logId, "test")
  batch.records.append(null, Buffer.from("v"), noHeaders, harness.clock.nowMs())
  harness.shard.recordsAdded(batch.records.byteLength)
  return list.record(batch, batch.records.count - 1)
}

const ask = (harness: ShardHarness, list: CommandList): Array<ListAnswer> => {
  const answers: Array<ListAnswer> = []
  harness.shard.askAll(list, { origin: "test" }, (answer) => answers.push(answer))
  return answers
}

const totalOf = (harness: ShardHarness, name: string | number): number =>
  newestState<CounterState>(harness.shard.actors, counter(name))?.total ?? 0

describe("a list of commands", () => {
  it("knows the offset that one of its records gets, and what an earlier command is answered", () => {
    const harness = new ShardHarness().start()
    for (let i = 0; i < 3; i++) addRecord(harness, new CommandList(), 7)
    harness.run()
    const list = new CommandList()
    addRecord(harness, new CommandList(), 7)
    const record = addRecord(harness, list, 7)
    const added = list.add(counter("a"), { _tag: "Add", n: fromEntry(record, "offset") })
    const moved = list.add(partition(7), { _tag: "MoveLogStart", offset: 1 })
    list.add(counter("b"), { _tag: "Add", n: fromEntry(moved, "baseOffset") })
    const [answer] = ask(harness, list)
    expect(answer).toBeUndefined()
    const answers = ask(harness, new CommandList())
    harness.run()
    expect(answers).toHaveLength(1)
    expect([totalOf(harness, "a"), totalOf(harness, "b")]).toEqual([4, 5])
    expect(added).toBe(1)
    harness.expectReplayIsLive()
  })

  it("leaves out what needs an entry that was not taken, and decides the rest", () => {
    const harness = new ShardHarness().start()
    const list = new CommandList()
    const refused = list.add(counter("a"), { _tag: "Refuse" })
    const dependent = list.add(counter("b"), { _tag: "Add", n: 1 }, [refused])
    const second = list.add(counter("c"), { _tag: "Add", n: 1 }, [dependent])
    const other = list.add(counter("d"), { _tag: "Add", n: 1 })
    const answers = ask(harness, list)
    harness.run()
    expect(answerOf(answers[0]!, refused)).toEqual(Exit.fail("refused"))
    expect(answerOf(answers[0]!, dependent)).toEqual(Exit.fail(new NotDecided(0)))
    expect(answerOf(answers[0]!, second)).toEqual(Exit.fail(new NotDecided(1)))
    expect(answerOf(answers[0]!, other)).toEqual(Exit.succeed(1))
    expect(["b", "c", "d"].map((name) => totalOf(harness, name))).toEqual([0, 0, 1])
  })

  it("takes a record that no batch had room for, or whose log is gone, as refused", () => {
    const harness = new ShardHarness().start()
    harness.tell("partition/7", { _tag: "DeleteLog" })
    harness.run()
    const list = new CommandList()
    const records = [list.record(PartitionBatch.refused(8, "test", "MessageTooLarge"), 0), addRecord(harness, list, 7)]
    for (const record of records) list.add(counter("a"), { _tag: "Add", n: fromEntry(record, "offset") })
    const answers = ask(harness, list)
    harness.run()
    expect(answers[0]!.exits.map(Exit.isSuccess)).toEqual([false, false, false, false])
    expect(answerOf(answers[0]!, records[0]!)).toEqual(Exit.fail("MessageTooLarge"))
    expect(totalOf(harness, "a")).toBe(0)
  })

  it("does not wait for a reply that is parked: that is a defect", () => {
    const harness = new ShardHarness().start()
    const list = new CommandList()
    const parked = list.add(counter("a"), { _tag: "Wait", key: "k" })
    const answers = ask(harness, list)
    harness.run()
    expect(Exit.isFailure(answerOf(answers[0]!, parked))).toBe(true)
    expect(harness.defects).toEqual([
      "counter/a: Error: counter/a parks its reply to Wait, which a list cannot wait for"
    ])
  })

  it("of which an actor neither answers nor parks a command has a defect there, which is told", () => {
    const harness = new ShardHarness().start()
    const list = new CommandList()
    const silent = list.add(counter("a"), { _tag: "Silent" })
    const dependent = list.add(counter("b"), { _tag: "Add", n: 1 }, [silent])
    const answers = ask(harness, list)
    harness.run()
    expect(Exit.isFailure(answerOf(answers[0]!, silent))).toBe(true)
    expect(answerOf(answers[0]!, dependent)).toEqual(Exit.fail(new NotDecided(0)))
    expect(harness.defects).toEqual(["counter/a: Error: counter/a neither answered Silent nor parked its reply"])
  })

  it("is answered with its place in the journal: behind what was decided before it, in front of its own", () => {
    const harness = new ShardHarness().start()
    const seqs: Array<number> = []
    harness.shard.observe(Counter, (_actor, _event, seq) => seqs.push(seq))
    const answers = []
    for (const name of ["a", "b"]) {
      const list = new CommandList()
      list.add(counter(name), { _tag: "Add", n: 1 })
      harness.tell("counter/x", { _tag: "Add", n: 1 })
      answers.push(ask(harness, list))
    }
    answers.push(ask(harness, new CommandList()))
    harness.run()
    const places = answers.map(([answer]) => answer!.seq)
    expect(places).toEqual([seqs[1], seqs[3], seqs[3]! + 1])
  })

  it("is answered with defects when its turn is lost as a whole", () => {
    const harness = new ShardHarness().start()
    const list = new CommandList()
    const added = list.add(counter("a"), { _tag: "Add", n: 1 })
    const answers = ask(harness, list)
    breakTurn(harness)
    harness.run()
    expect(harness.faults).toHaveLength(1)
    expect(Exit.isFailure(answerOf(answers[0]!, added))).toBe(true)
  })

  it("counts with each of its commands for the bound of the inbox", () => {
    const harness = new ShardHarness({ limits: { inboxCommandsMax: 3 } }).start()
    const list = new CommandList()
    for (let i = 0; i < 3; i++) list.add(counter("a"), { _tag: "Add", n: 1 })
    expect(harness.shard.askAll(list, {})).toBe(false)
    harness.run()
    expect(harness.shard.hasRoom).toBe(true)
  })
})

/** What a list is made of, before its records are in partition batches. `of` and `onlyIf`: any of the entries before, by remainder. */
type Planned =
  | { readonly _tag: "Record"; readonly logId: number }
  | { readonly _tag: "TooLarge" }
  | { readonly _tag: "Move"; readonly logId: number; readonly onlyIf: ReadonlyArray<number> }
  | { readonly _tag: "Add"; readonly name: number; readonly n: number; readonly onlyIf: ReadonlyArray<number> }
  | { readonly _tag: "AddFrom"; readonly name: number; readonly of: number }
  | { readonly _tag: "Refuse" | "ThrowInDecide" | "ThrowInEvolve"; readonly name: number }

const name = fc.integer({ min: 0, max: 3 })
const logId = fc.constantFrom(7, 8, 9)
const onlyIf = fc.array(fc.nat(20), { maxLength: 2 })
const planned: fc.Arbitrary<Planned> = fc.oneof(
  fc.record({ _tag: fc.constant("Record" as const), logId }),
  fc.record({ _tag: fc.constant("TooLarge" as const) }),
  fc.record({ _tag: fc.constant("Move" as const), logId, onlyIf }),
  fc.record({ _tag: fc.constant("Add" as const), name, n: fc.integer({ min: 1, max: 9 }), onlyIf }),
  fc.record({ _tag: fc.constant("AddFrom" as const), name, of: fc.nat(20) }),
  fc.record({ _tag: fc.constantFrom("Refuse" as const, "ThrowInDecide" as const), name }),
  // An actor of its own, which is given up in the end.
  fc.record({ _tag: fc.constant("ThrowInEvolve" as const), name: fc.constant(99) })
)

/** Logs 7 and 8 take records, 9 is deleted. */
const deletedLog = 9

/** What entries are answered, by the rules alone: a number for a success, undefined for what is not taken. */
class Expected {
  readonly totals = new Map<number, number>()
  /** Of logs, behind all records of the turn: those come first. */
  readonly ends = new Map<number, number>()
  readonly taken: Array<number | undefined> = []

  decide(entry: Planned, offset: number | undefined): void {
    const isMet = !("onlyIf" in entry) || entry.onlyIf.every((at) => this.#at(at) !== undefined)
    this.taken.push(isMet ? this.#answer(entry, offset) : undefined)
  }

  #at(at: number): number | undefined {
    return this.taken.length === 0 ? 0 : this.taken[at % this.taken.length]
  }

  #answer(entry: Planned, offset: number | undefined): number | undefined {
    if (entry._tag === "Record") return offset
    if (entry._tag === "Move") return entry.logId === deletedLog ? undefined : (this.ends.get(entry.logId) ?? 0)
    if (entry._tag === "Add") return this.#add(entry.name, entry.n)
    if (entry._tag !== "AddFrom") return undefined
    const n = this.#at(entry.of)
    return n === undefined ? undefined : this.#add(entry.name, n)
  }

  #add(name: number, n: number): number {
    const total = (this.totals.get(name) ?? 0) + n
    this.totals.set(name, total)
    return total
  }
}

/** Of a success: the number by which `AddFrom` refers to it. */
const numberOf = (value: unknown): number => {
  if (typeof value === "number") return value
  const { offset, baseOffset } = value as { readonly offset?: number; readonly baseOffset?: number }
  return offset ?? baseOffset!
}

const addPlanned = (harness: ShardHarness, list: CommandList, entry: Planned, fields: Array<string | undefined>) => {
  const at = (index: number): number | undefined =>
    list.entries.length === 0 ? undefined : index % list.entries.length
  const needed = "onlyIf" in entry ? entry.onlyIf.flatMap((index) => at(index) ?? []) : []
  if (entry._tag === "Record") addRecord(harness, list, entry.logId)
  else if (entry._tag === "TooLarge") list.record(PartitionBatch.refused(7, "test", "MessageTooLarge"), 0)
  else if (entry._tag === "Move") list.add(partition(entry.logId), { _tag: "MoveLogStart", offset: 0 }, needed)
  else if (entry._tag === "Add") list.add(counter(entry.name), { _tag: "Add", n: entry.n }, needed)
  else if (entry._tag === "AddFrom") {
    const of = at(entry.of)!
    list.add(counter(entry.name), { _tag: "Add", n: { fromEntry: of, field: fields[of]! } })
  } else list.add(counter(entry.name), { _tag: entry._tag })
  fields.push(entry._tag === "Record" ? "offset" : entry._tag === "Move" ? "baseOffset" : undefined)
}

/** References are to entries that have a field: others would not compile. */
const isPlain = (plan: ReadonlyArray<Planned>, i: number): boolean => {
  const entry = plan[i]!
  if (entry._tag !== "AddFrom") return true
  const of = i === 0 ? undefined : plan[entry.of % i]
  return of?._tag === "Record" || of?._tag === "Move"
}

it("lists: in order, by their conditions and references, in one commit, told when that is durable, and replayed", () => {
  const plans = fc
    .array(planned, { minLength: 1, maxLength: 12 })
    .map((plan) => plan.filter((entry, i) => entry._tag !== "AddFrom" || isPlain(plan, i)))
    .filter((plan) => plan.every((_, i) => isPlain(plan, i)))
  const turns = fc.array(fc.array(plans, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 })
  let decided = 0
  let left = 0
  fc.assert(
    fc.property(turns, (all) => {
      const harness = new ShardHarness({ faultAt: (commit) => (commit > 2 ? { _tag: "Delay", ms: 10 } : undefined) })
      harness.start()
      harness.tell(partition(deletedLog), { _tag: "DeleteLog" })
      harness.run()
      const model = new Expected()
      for (const lists of all) {
        const commits: Array<number> = []
        harness.shard.onCommit = (_ms, _bytes, events) => commits.push(events)
        // Of each list the offset that each entry gets, if it is a record: those of a turn come before all commands.
        const offsets = lists.map((plan) =>
          plan.map((entry) => {
            if (entry._tag !== "Record" || entry.logId === deletedLog) return undefined
            const offset = model.ends.get(entry.logId) ?? 0
            model.ends.set(entry.logId, offset + 1)
            return offset
          })
        )
        const told: Array<number> = []
        const answers = lists.map((plan, at) => {
          const list = new CommandList()
          const fields: Array<string | undefined> = []
          for (const entry of plan) addPlanned(harness, list, entry, fields)
          // As it would arrive elsewhere.
          const sent = new CommandList()
          sent.entries.push(...structuredClone(list.entries))
          const given: Array<ListAnswer> = []
          harness.shard.askAll(sent, { origin: "test" }, (answer) => {
            told.push(at)
            given.push(answer)
          })
          return given
        })
        harness.clock.runTurns()
        const early = told.length
        harness.advance(10)
        expect(commits.length).toBeLessThanOrEqual(1)
        if (commits.length === 1) expect(early).toBe(0)
        expect(told).toEqual(lists.map((_, at) => at))
        for (const [at, plan] of lists.entries()) {
          model.taken.splice(0)
          for (const [i, entry] of plan.entries()) model.decide(entry, offsets[at]![i])
          const exits = answers[at]![0]!.exits.map((exit) => (Exit.isSuccess(exit) ? numberOf(exit.value) : undefined))
          expect(exits).toEqual(model.taken)
          const taken = model.taken.filter((number) => number !== undefined)
          decided += taken.length
          left += plan.length - taken.length
        }
        for (const [counter, total] of model.totals) expect(totalOf(harness, counter)).toBe(total)
      }
      harness.expectReplayIsLive()
    }),
    { numRuns: 300 }
  )
  expect(decided).toBeGreaterThan(300)
  expect(left).toBeGreaterThan(300)
})
