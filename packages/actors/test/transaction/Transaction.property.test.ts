import * as fc from "fast-check"
import { expect, it } from "vitest"
import type { TransactionOutcome } from "@logbrook/core/transaction/Marker"
import type { FinishTransaction } from "../../src/transaction/TransactionProtocol.ts"
import { type Answered, type Producer, TransactionHarness } from "./TransactionHarness.ts"

/** Three producers with one transactional id. The first two speak version 2, the last version 1. */
type Step =
  | { readonly do: "begin" | "goOn" | "commit" | "abort" | "commitAgain" | "abortAgain"; readonly who: number }
  | { readonly do: "add"; readonly who: number; readonly logId: number }
  | { readonly do: "addGroup"; readonly who: number; readonly groupId: string }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "finish" | "finishLost" | "restart" | "operator" | "exhaust" | "forget" }

const who = fc.constantFrom(0, 0, 1, 2, 2)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("begin" as const, "goOn" as const), who }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("add" as const), who, logId: fc.integer({ min: 2, max: 5 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("addGroup" as const), who, groupId: fc.constantFrom("g", "h") })
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("commit" as const, "commit" as const, "abort" as const), who })
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("commitAgain" as const, "abortAgain" as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(100, 3_000, 11_000) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("finish" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "restart" as const,
        "finishLost" as const,
        "operator" as const,
        "exhaust" as const,
        "forget" as const
      )
    })
  }
)

const timeoutMs = 10_000

/** A transaction as whoever reads it would have to see it. */
interface Open {
  readonly producer: string
  readonly startedAtMs: number
  readonly logIds: Set<number>
  readonly groups: Set<string>
}

const nameOf = ({ producerId, producerEpoch }: Producer): string => `${producerId}/${producerEpoch}`

const isFailed = (answer: Answered): answer is Extract<Answered, string> => typeof answer === "string"

/** What the coordinator has promised, written from what Kafka promises and not from how it is done. */
class World {
  readonly coordinator = new TransactionHarness()
  readonly clients = Array.from({ length: 3 }, () => ({
    producer: { producerId: -1, producerEpoch: -1 },
    /** With which it asked for its last end. */
    asked: { producerId: -1, producerEpoch: -1 }
  }))
  /** Who may write: the newest id and epoch that was given. */
  private current = ""
  private open: Open | undefined
  /** The end that is certain and not done, and what it must lead to. */
  private ending: { readonly outcome: TransactionOutcome; readonly of: Open } | undefined
  /** Whose open transaction was aborted because it asked for its next epoch itself: it is given the one that the abort has raised. */
  private goesOn: string | undefined
  private readonly given = new Map<number, number>()
  private seen = 0
  /** The fold of all events. */
  private shadow = this.coordinator.state
  readonly reached = new Set<string>()

  take(next: Step): void {
    const { coordinator } = this
    switch (next.do) {
      case "wait":
        coordinator.advance(next.ms)
        break
      case "restart":
        coordinator.restart()
        break
      case "finish":
        coordinator.finish()
        break
      case "finishLost":
        coordinator.told.length = 0
        break
      case "operator":
        coordinator.send({ _tag: "Abort" })
        break
      case "forget":
        coordinator.send({ _tag: "ForgetAtRest" })
        break
      case "exhaust":
        this.exhaust()
        break
      default:
        this.act(this.clients[next.who]!, next)
    }
    this.look()
  }

  private exhaust(): void {
    const owner = this.clients.find(({ producer }) => nameOf(producer) === this.current)
    if (owner === undefined || this.coordinator.state.name !== "Empty") return
    this.coordinator.exhaust(owner.producer)
    this.current = nameOf(owner.producer)
    this.given.set(owner.producer.producerId, owner.producer.producerEpoch)
  }

  private act(client: World["clients"][number], next: Extract<Step, { readonly who: number }>): void {
    const { coordinator } = this
    const { producer } = client
    const version = next.who === 2 ? 1 : 2
    const isCurrent = nameOf(producer) === this.current
    if (next.do === "begin" || next.do === "goOn") {
      const own = next.do === "begin" ? { producerId: -1, producerEpoch: -1 } : producer
      const asked = nameOf(own)
      const isOpen = this.open !== undefined
      const answer = coordinator.init(own, timeoutMs)
      this.look()
      if (isOpen && this.open === undefined) this.goesOn = next.do === "goOn" ? asked : undefined
      if (isFailed(answer)) return
      this.learn(own, asked)
      Object.assign(producer, own)
      this.reached.add("initialized")
    } else if (next.do === "add" || next.do === "addGroup") {
      const answer =
        next.do === "add" ? coordinator.add(producer, next.logId) : coordinator.addGroup(producer, next.groupId)
      if (isFailed(answer)) return
      expect(isCurrent, "only the newest producer writes").toBe(true)
      expect(this.ending, "nothing is added to what is ending").toBeUndefined()
      this.open ??= { producer: this.current, startedAtMs: coordinator.nowMs, logIds: new Set(), groups: new Set() }
      if (next.do === "add") this.open.logIds.add(next.logId)
      else this.open.groups.add(next.groupId)
    } else this.end(client, next, version, isCurrent)
  }

  private end(
    client: World["clients"][number],
    next: Extract<Step, { readonly who: number }>,
    version: 1 | 2,
    isCurrent: boolean
  ): void {
    const isAgain = next.do === "commitAgain" || next.do === "abortAgain"
    const outcome = next.do === "commit" || next.do === "commitAgain" ? "commit" : "abort"
    if (!isAgain) client.asked = { ...client.producer }
    const asking = { ...(isAgain ? client.asked : client.producer) }
    const before = this.coordinator.events.length
    const answer = this.coordinator.end(asking, outcome, version)
    const events = this.coordinator.events.slice(before)
    if (events.length > 0) {
      expect(isFailed(answer)).toBe(false)
      expect(isAgain ? nameOf(client.asked) === this.current : isCurrent, "only the newest producer ends").toBe(true)
      if (this.open !== undefined) this.ending = { outcome, of: this.open }
      else expect(outcome, "nothing is committed that was not begun").toBe("abort")
      this.open = undefined
      this.reached.add(`${outcome} ${version}`)
    }
    if (isFailed(answer) || version === 1) return
    if (events.length > 0) this.learn(asking)
    else {
      if (nameOf(client.asked) === this.goesOn) this.learn(asking, this.goesOn)
      this.reached.add("again")
    }
    if (isAgain ? nameOf(client.asked) === nameOf(client.producer) : true) Object.assign(client.producer, asking)
  }

  /** An id and epoch that were given: never one of before, unless it is the newest, told again, or the one of its own abort. */
  private learn(producer: Producer, asked?: string): void {
    const { producerId, producerEpoch } = producer
    const before = this.given.get(producerId) ?? -1
    if (asked !== undefined && asked === this.goesOn) this.reached.add("went on")
    else if (nameOf(producer) !== this.current) expect(producerEpoch, "epochs only rise").toBeGreaterThan(before)
    this.goesOn = undefined
    this.given.set(producerId, producerEpoch)
    this.current = nameOf(producer)
  }

  /** Reads what happened of itself, and what was told. */
  private look(): void {
    const { coordinator } = this
    for (const event of coordinator.events.slice(this.seen)) {
      this.shadow = coordinator.definition.evolve(this.shadow, event)
      if (event._tag === "ProducerFenced") {
        this.reached.add(event.reason)
        expect(this.open, "only what is open is fenced").toBeDefined()
        this.ending = { outcome: "abort", of: this.open! }
        this.open = undefined
        this.current = "nobody"
        this.given.set(coordinator.state.life.producerId, event.producerEpoch)
      } else if (event._tag === "TransactionCompleted") {
        this.ending = undefined
      } else if (event._tag === "TransactionalIdExpired") {
        this.reached.add("forgotten")
        expect(this.open ?? this.ending, "only an id at rest is forgotten").toBeUndefined()
        this.current = "nobody"
      }
    }
    this.seen = coordinator.events.length
    for (const finish of coordinator.told) this.checkTold(finish)
    if (this.open !== undefined) {
      expect(coordinator.nowMs - this.open.startedAtMs, "no transaction outlives its timeout").toBeLessThan(timeoutMs)
    }
    const { save } = coordinator.definition
    expect(save(this.shadow), "a replay comes to the live state").toEqual(save(coordinator.state))
  }

  private checkTold({ outcome, partitions, groups, producerId, producerEpoch, version }: FinishTransaction): void {
    expect(this.ending, "what is told is certain").toBeDefined()
    const { of } = this.ending!
    expect(outcome).toBe(this.ending!.outcome)
    expect(new Set(partitions.map(({ logId }) => logId))).toEqual(of.logIds)
    expect(new Set(groups)).toEqual(of.groups)
    const [id, epoch] = of.producer.split("/").map(Number)
    expect(producerId).toBe(id)
    if (version === 1) expect(producerEpoch).toBe(epoch)
    else expect(producerEpoch).toBeGreaterThan(epoch!)
  }

  /** Whatever was prepared is finished, after a crash too. */
  settle(): void {
    this.coordinator.restart()
    this.coordinator.advance(2 * timeoutMs)
    this.coordinator.finish()
    this.look()
    expect(["Empty", "CompleteCommit", "CompleteAbort", "Dead"]).toContain(this.coordinator.state.name)
  }
}

it("a transaction has one outcome, of one producer, whatever comes when and whoever crashes", () => {
  const reached = new Set<string>()
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 100 }), (steps) => {
      const world = new World()
      for (const next of steps) world.take(next)
      world.settle()
      for (const each of world.reached) reached.add(each)
    }),
    { numRuns: 150 }
  )
  expect([...reached].toSorted()).toEqual([
    "abort 1",
    "abort 2",
    "aborted by an operator",
    "again",
    "another producer began",
    "commit 1",
    "commit 2",
    "forgotten",
    "initialized",
    "timed out",
    "went on"
  ])
})
