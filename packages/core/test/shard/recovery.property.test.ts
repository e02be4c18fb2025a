import type { ActorId } from "@logbrook/core/actor/Definition"
import { JournalError } from "@logbrook/core/journal/JournalError"
import type { Seq } from "@logbrook/core/journal/Journal"
import { noHeaders } from "@logbrook/core/Record"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ShardHarness } from "../support/ShardHarness.ts"
import type { CounterCommand, ToyPartitionCommand } from "../support/toys.ts"
import { turn } from "../support/turn.ts"

type Step =
  | { readonly _tag: "ask"; readonly to: ActorId; readonly command: CounterCommand | ToyPartitionCommand }
  | { readonly _tag: "publish"; readonly logId: number; readonly bytes: number }
  | { readonly _tag: "turn" }
  | { readonly _tag: "advance"; readonly ms: number }
  /** Of what can go, after all records have expired. */
  | { readonly _tag: "drop"; readonly expires: boolean }
  | { readonly _tag: "restart"; readonly inOrder: boolean }

const counterId = fc.nat(11).map((n) => `counter/${n}`)
const key = fc.constantFrom("a", "b", "c")
const n = fc.integer({ min: -5, max: 5 })
const bytes = fc.uint8Array({ maxLength: 40 })
const tagged = <Tag extends string>(tag: Tag): fc.Arbitrary<{ readonly _tag: Tag }> => fc.constant({ _tag: tag })

const command: fc.Arbitrary<CounterCommand> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Add" as const), n }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Note" as const), bytes }) },
  { weight: 2, arbitrary: tagged("Reset") },
  { weight: 1, arbitrary: tagged("Get") },
  { weight: 1, arbitrary: tagged("Refuse") },
  { weight: 1, arbitrary: tagged("ThrowInDecide") },
  { weight: 1, arbitrary: tagged("ThrowInEvolve") },
  { weight: 1, arbitrary: tagged("PackNothing") },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), key }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Free" as const), key, value: n }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("AddLater" as const), key, inMs: fc.nat(300), n }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Cancel" as const), key }) },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("Pass" as const), to: counterId, n }) }
)

const logId = fc.integer({ min: 1, max: 3 })
const partitionCommand: fc.Arbitrary<ToyPartitionCommand> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("MoveLogStart" as const), offset: fc.nat(30) }) },
  { weight: 1, arbitrary: tagged("DeleteLog") }
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 20, arbitrary: fc.record({ _tag: fc.constant("ask" as const), to: counterId, command }) },
  { weight: 8, arbitrary: fc.record({ _tag: fc.constant("publish" as const), logId, bytes: fc.nat(500) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      _tag: fc.constant("ask" as const),
      to: logId.map((id) => `partition/${id}`),
      command: partitionCommand
    })
  },
  { weight: 12, arbitrary: tagged("turn") },
  {
    weight: 3,
    arbitrary: fc.record({ _tag: fc.constant("advance" as const), ms: fc.oneof(fc.nat(200), fc.constant(61_000)) })
  },
  { weight: 2, arbitrary: fc.record({ _tag: fc.constant("drop" as const), expires: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("restart" as const), inOrder: fc.boolean() }) }
)

const limits = { snapshotPageBytesMax: 120, commitsInFlightMax: 3 }

interface Log {
  readonly start: number
  readonly end: number
  readonly first: number
  readonly bytes: number
}

const logsOf = ({ shard }: ShardHarness): Map<number, Log> => {
  const found = new Map<number, Log>()
  for (const { id, startOffset, highWatermark, index, byteLength } of shard.logs.logs()) {
    if (highWatermark === 0) continue
    found.set(id, {
      start: startOffset,
      end: highWatermark,
      first: index.count && index.at(0).baseOffset,
      bytes: byteLength
    })
  }
  return new Map([...found].sort(([a], [b]) => a - b))
}

class Life {
  harness: ShardHarness
  /** The states after each turn, by the seq behind it. */
  readonly past = new Map<Seq, Map<ActorId, unknown>>()
  asked = 0
  told = 0
  snapshots = 0
  drops = 0

  constructor() {
    this.harness = new ShardHarness({ segmentBytes: 1000, limits }).start()
  }

  #remember(): void {
    this.past.set(this.harness.shard.nextSeq, this.harness.states())
  }

  turns(): void {
    while (this.harness.clock.runTurn()) this.#remember()
  }

  async take(step: Step): Promise<void> {
    const { harness } = this
    const { shard, clock } = harness
    if (step._tag === "ask") harness.tell(step.to, step.command)
    else if (step._tag === "publish") {
      const batch = shard.partitionBatch(step.logId, "test")
      batch.records.append(null, Buffer.alloc(step.bytes, 1), noHeaders, clock.nowMs())
      shard.recordsAdded(step.bytes)
      this.asked++
      shard.ack(harness, this.asked, batch, batch.records.count - 1)
    } else if (step._tag === "turn") this.turns()
    else if (step._tag === "advance") {
      this.turns()
      for (let ms = 0; ms < step.ms; ms += 100) {
        clock.advance(Math.min(100, step.ms - ms))
        this.#remember()
      }
    } else if (step._tag === "drop") await this.#drop(step.expires)
    else await this.#restart(step.inOrder)
  }

  async #drop(expires: boolean): Promise<void> {
    const { harness } = this
    const expire: ToyPartitionCommand = { _tag: "MoveLogStart", offset: 1e9 }
    for (const { id } of expires ? harness.shard.logs.logs() : []) harness.tell(`partition/${id}`, expire)
    this.turns()
    this.drops += await harness.shard.dropExpiredSegments()
  }

  async #restart(inOrder: boolean): Promise<void> {
    const { harness } = this
    if (inOrder) {
      const drained = harness.shard.drained()
      this.turns()
      await drained
    } else this.turns()
    harness.shard.stop()
    this.told += harness.heard().length
    const { clock, journal } = harness
    const states = harness.states()
    const logs = logsOf(harness)
    const { epoch } = harness.shard
    this.harness = new ShardHarness({ clock, journal, limits })
    const recovered = this.harness.shard.recover()
    if (recovered.snapshotFromSeq !== undefined) this.snapshots++
    expect(this.harness.shard.epoch).toBe(epoch + 1)
    expect(this.harness.states()).toEqual(states)
    expect(logsOf(this.harness)).toEqual(logs)
    this.harness.shard.start(() => undefined)
    this.turns()
  }

  checkPast(): void {
    let checked = 0
    for (const [seq, states] of this.past) {
      try {
        const replayed = this.harness.replayed(seq)
        expect(replayed.states).toEqual(states)
        expect(replayed.mismatches).toEqual([])
        checked++
      } catch (error) {
        // What was there before the oldest snapshot is gone with its segments, and a replay says so.
        if (!(error instanceof JournalError && error.reason === "Gap" && this.drops > 0)) throw error
      }
    }
    expect(checked).toBeGreaterThan(0)
  }
}

describe("recovery", () => {
  it("replay(journal) = live state, after every turn, with rolls, snapshots, drops and restarts", async () => {
    const seen = { snapshots: 0, drops: 0 }
    await fc.assert(
      fc
        .asyncProperty(fc.array(step, { minLength: 20, maxLength: 200, size: "max" }), async (steps) => {
          const life = new Life()
          for (const each of steps) await life.take(each)
          life.turns()
          life.harness.clock.advance(1000)
          life.turns()
          life.harness.expectReplayIsLive()
          life.checkPast()
          await life.take({ _tag: "restart", inOrder: true })
          // Every acknowledgement came, once.
          expect(life.told).toBe(life.asked)
          seen.snapshots += life.snapshots
          seen.drops += life.drops
        })
        .beforeEach(turn),
      { numRuns: 60 }
    )
    expect(seen.snapshots).toBeGreaterThan(10)
    expect(seen.drops).toBeGreaterThan(10)
  })
})
