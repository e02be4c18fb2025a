import type { Signal } from "@logbrook/core/actor/Definition"
import { pack, unpack } from "@logbrook/core/actor/pack"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { makeTransaction } from "../../src/transaction/Transaction.ts"
import {
  defaultTransactionSettings,
  type End,
  type FinishTransaction,
  type TransactionCommand,
  transactionActor,
  type TransactionEvent,
  type TransactionKind,
  type TransactionPartition,
  type TransactionRefusal,
  type TransactionReply,
  type TransactionSettings
} from "../../src/transaction/TransactionProtocol.ts"
import type { TransactionState } from "../../src/transaction/transactionState.ts"
import { nextOf } from "../nextOf.ts"

/** A producer as it knows itself. */
export interface Producer {
  producerId: number
  producerEpoch: number
}

export type Answered = TransactionReply | TransactionRefusal

export const partition = (logId: number): TransactionPartition => ({
  topicId: `id-of-${logId}`,
  stream: `orders-${logId}`,
  partition: 0,
  logId
})

/** Runs one coordinator with mock time and deadlines, as the runtime does, and keeps all events and notices. */
export class TransactionHarness {
  nowMs = 1_000_000
  readonly events: Array<TransactionEvent> = []
  /** Told and not done yet. */
  readonly told: Array<FinishTransaction> = []
  readonly deadlines = new Map<string, { readonly atMs: number; readonly command: TransactionCommand }>()
  readonly id = transactionActor("billing")
  readonly definition: ReturnType<typeof makeTransaction>
  state: TransactionState
  /** The next id that the catalog would give. */
  nextProducerId = 100
  /** Whether there may be one more transactional id. */
  mayBeNew = true
  /** The room of transactional ids, and that of their members. */
  idsRoomBytes = Infinity
  membersRoomBytes = Infinity

  constructor(settings: Partial<TransactionSettings> = {}) {
    this.definition = makeTransaction({ ...defaultTransactionSettings, ...settings })
    this.state = this.definition.initial(this.id)
  }

  send(command: TransactionCommand): Answered {
    const decision = this.definition.decide(this.state, command, this.nowMs, (holder) =>
      holder === "transactionMembers" ? this.membersRoomBytes : this.idsRoomBytes
    )
    this.state = nextOf(this.definition, this.state, decision)
    this.events.push(...decision.events)
    for (const signal of decision.signals) this.run(signal)
    const { reply } = decision
    if (reply === undefined) throw new Error("a coordinator parks nothing")
    if (Exit.isSuccess(reply)) return reply.value
    return Option.getOrThrow(Cause.failureOption(reply.cause)).reason
  }

  private run(signal: Signal<typeof TransactionKind>): void {
    if (signal._tag === "SetDeadline") this.deadlines.set(signal.key, signal)
    else if (signal._tag === "CancelDeadline") this.deadlines.delete(signal.key)
    else if (signal._tag === "Notify") this.told.push(signal.notice)
  }

  /** A producer that begins, or goes on. Its answer is remembered by the producer. */
  init(producer: Producer, timeoutMs = 60_000): Answered {
    const newProducerId = this.nextProducerId++
    const answer = this.send({ _tag: "InitProducer", timeoutMs, ...producer, newProducerId, mayBeNew: this.mayBeNew })
    return this.learnt(producer, answer)
  }

  /** A new producer. */
  begin(timeoutMs = 60_000): Producer {
    const producer = { producerId: -1, producerEpoch: -1 }
    this.init(producer, timeoutMs)
    return { ...producer }
  }

  /** As if it had ended so many transactions that no epoch is left. */
  exhaust(producer: Producer): void {
    const { producerId } = producer
    const event: TransactionEvent = {
      _tag: "ProducerInitialized",
      producerId,
      producerEpoch: 32_766,
      lastProducerEpoch: -1,
      timeoutMs: this.state.life.timeoutMs,
      atMs: this.nowMs
    }
    this.state = this.definition.evolve(this.state, event)
    this.events.push(event)
    producer.producerEpoch = 32_766
  }

  add({ producerId, producerEpoch }: Producer, ...logIds: ReadonlyArray<number>): Answered {
    return this.send({ _tag: "AddPartitions", producerId, producerEpoch, partitions: logIds.map(partition) })
  }

  verify({ producerId, producerEpoch }: Producer, ...logIds: ReadonlyArray<number>): Answered {
    return this.send({ _tag: "VerifyPartitions", producerId, producerEpoch, partitions: logIds.map(partition) })
  }

  addGroup({ producerId, producerEpoch }: Producer, groupId: string): Answered {
    return this.send({ _tag: "AddGroup", producerId, producerEpoch, groupId })
  }

  /** Of version 2 the producer goes on with what it is answered. */
  end(producer: Producer, outcome: End["outcome"], version: End["version"] = 2): Answered {
    const { producerId, producerEpoch } = producer
    const newProducerId = producerEpoch >= 32_766 ? this.nextProducerId++ : -1
    const answer = this.send({ _tag: "End", producerId, producerEpoch, outcome, version, newProducerId })
    return version === 2 ? this.learnt(producer, answer) : answer
  }

  private learnt(producer: Producer, answer: Answered): Answered {
    if (typeof answer === "object" && "producerId" in answer) {
      producer.producerId = answer.producerId
      producer.producerEpoch = answer.producerEpoch
    }
    return answer
  }

  /** The shell has done what it was told, and confirms it. */
  finish(): void {
    for (const { producerId, producerEpoch } of this.told.splice(0)) {
      this.send({ _tag: "Complete", producerId, producerEpoch })
    }
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    for (;;) {
      const due = [...this.deadlines].filter(([, { atMs }]) => atMs <= untilMs)
      const [first] = due.toSorted(([, a], [, b]) => a.atMs - b.atMs)
      if (first === undefined) break
      const [key, { atMs, command }] = first
      this.deadlines.delete(key)
      this.nowMs = Math.max(this.nowMs, atMs)
      this.send(command)
    }
    this.nowMs = untilMs
  }

  /** A crash: what was told and not done is lost; the state is what the journal says. */
  restart(): void {
    this.told.length = 0
    this.deadlines.clear()
    let state = this.definition.initial(this.id)
    for (const event of this.events) state = this.definition.evolve(state, unpack(pack(event)) as TransactionEvent)
    this.state = this.definition.load(this.id, unpack(pack(this.definition.save(state))))
    for (const signal of this.definition.resume(this.state, this.nowMs)) this.run(signal)
  }
}
