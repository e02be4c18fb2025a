import { compress } from "@logbrook/core/Compression"
import { noHeaders, RecordsBuilder } from "@logbrook/core/Record"
import { buildBatch } from "@logbrook/core/RecordBatch"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { Produce } from "@logbrook/protocols/kafka/messages/00_Produce"
import { InitProducerId } from "@logbrook/protocols/kafka/messages/22_InitProducerId"
import type { Stamp } from "../Network.ts"
import { idHeader, numberOf, payloadOf } from "../payload.ts"
import type { ProducerPlan } from "../Plan.ts"
import type { Random } from "../Random.ts"
import type { Client, World } from "../World.ts"
import { KafkaPeer } from "./KafkaPeer.ts"

interface Batch {
  readonly ids: ReadonlyArray<string>
  readonly baseSequence: number
  readonly bytes: Uint8Array
  isInFlight: boolean
}

const timeoutMs = 10_000
const retryMsMax = 800
const timestampMs = 1_800_000_000_000
const recordsPerBatchMax = 4

/** Writes batches to one partition, several under way at a time, each sent again until it is stored. */
export class Producer implements Client {
  readonly name: string
  readonly #world: World
  readonly #plan: ProducerPlan
  readonly #peer: KafkaPeer
  readonly #keys: Random
  #open: Array<Batch> = []
  #made = 0
  #records = 0
  #producerId = -1
  #isWaiting = false
  /** Connections so far; answers of an earlier one change nothing. */
  #round = 0

  constructor(world: World, plan: ProducerPlan) {
    this.name = plan.name
    this.#world = world
    this.#plan = plan
    this.#peer = new KafkaPeer(world, plan.name)
    this.#keys = world.random(`${plan.name}/keys`)
  }

  start(): void {
    const begin = (): void => (this.#plan.isIdempotent ? this.#init() : this.#pump())
    if (this.#plan.beginsMs === 0) begin()
    else this.#world.scheduler.after(this.#plan.beginsMs * 1000, begin)
  }

  waitsFor(): string | undefined {
    const left = this.#plan.batches - this.#made + this.#open.length
    if (left === 0 && this.#mustConvert()) return `${this.name} has still to have its stream compacted`
    return left === 0 ? undefined : `${this.name} has ${left} batches to produce, ${this.#open.length} under way`
  }

  leave(): void {
    this.#peer.close()
  }

  #init(): void {
    this.#peer.request(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 }, timeoutMs, (response) => {
      if (response?.errorCode !== KafkaError.NONE) return this.#later(() => this.#init())
      this.#producerId = response.producerId
      this.#world.trace(`${this.name} has producer id ${this.#producerId}`)
      return this.#pump()
    })
  }

  #later(what: () => void): void {
    this.#world.scheduler.after(this.#peer.random.tail(20, retryMsMax) * 1000, what)
  }

  #pump(): void {
    if (this.#isWaiting) return
    const { inFlight, everyMs, batches } = this.#plan
    for (const batch of this.#open) if (!batch.isInFlight) this.#send(batch)
    if (this.#mustConvert()) return this.#convert()
    while (this.#open.length < inFlight && this.#made < batches && !this.#isWaiting) {
      const batch = this.#make()
      this.#open.push(batch)
      this.#send(batch)
      if (this.#mustConvert()) return
      if (everyMs === 0) continue
      this.#isWaiting = true
      this.#world.scheduler.after(this.#peer.random.between(1, 2 * everyMs) * 1000, () => {
        this.#isWaiting = false
        this.#pump()
      })
    }
  }

  #mustConvert(): boolean {
    const { stream, keyed } = this.#plan
    if (keyed?.convertsAfter === undefined || this.#made < keyed.convertsAfter) return false
    return !this.#world.model.streams.get(stream)!.config.some(([, value]) => value === "compact")
  }

  /** A record without a key that comes again would be refused: all must be stored before. */
  #convert(): void {
    if (this.#open.length > 0) return
    this.#isWaiting = true
    this.#world.alter(this.#plan.stream, [["cleanup.policy", "compact"]])
    this.#later(() => {
      this.#isWaiting = false
      this.#pump()
    })
  }

  #make(): Batch {
    this.#made++
    const baseSequence = this.#records
    const builder = new RecordsBuilder(1024 * 1024)
    const ids: Array<string> = []
    for (let count = this.#peer.random.between(1, recordsPerBatchMax); count > 0; count--) {
      const n = this.#records++
      ids.push(`${this.name}:${n}`)
      this.#append(builder, n)
    }
    const isIdempotent = this.#producerId >= 0
    const codec = this.#plan.keyed?.codec ?? "none"
    const bytes = buildBatch(
      {
        baseOffset: 0,
        partitionLeaderEpoch: -1,
        codec,
        count: ids.length,
        baseTimestampMs: builder.firstTimestampMs,
        maxTimestampMs: builder.maxTimestampMs,
        ...(isIdempotent && { producerId: this.#producerId, producerEpoch: 0, baseSequence })
      },
      codec === "none" ? Buffer.from(builder.bytes) : compress(codec, builder.bytes)
    )
    return { ids, baseSequence, bytes, isInFlight: false }
  }

  #append(builder: RecordsBuilder, n: number): void {
    const { keyed, bytesMax } = this.#plan
    const payload = payloadOf(this.name, n, bytesMax)
    if (keyed === undefined) {
      builder.append(null, payload, noHeaders, timestampMs)
      return
    }
    const lacksKey = this.#made <= (keyed.convertsAfter ?? 0) && this.#keys.chance(0.5)
    const key = lacksKey ? null : Buffer.from(`key-${this.#keys.tail(0, keyed.keys - 1)}`)
    const isTombstone = this.#keys.chance(keyed.tombstones)
    const nowMs = this.#world.scheduler.nowMs + keyed.clockAheadMs
    const id = [Buffer.from(idHeader), payload] as const
    builder.append(key, isTombstone ? null : payload, noHeaders, nowMs, isTombstone ? [id] : [])
  }

  #send(batch: Batch): void {
    batch.isInFlight = true
    const round = this.#round
    const { stream, partition, version } = this.#plan
    const topic = version >= 13 ? { topicId: this.#world.model.streams.get(stream)!.topicId } : { name: stream }
    this.#world.trace(`${this.name} produces ${batch.ids[0]} and ${batch.ids.length - 1} more`)
    const request = {
      transactionalId: null,
      acks: -1,
      timeoutMs,
      topicData: [{ ...topic, partitionData: [{ index: partition, records: batch.bytes }] }]
    }
    this.#peer.request(Produce, version, request, timeoutMs, (response, stamp) => {
      if (round !== this.#round) return
      const only = response?.responses[0]?.partitionResponses[0]
      if (only?.errorCode === KafkaError.NONE) this.#stored(batch, only.baseOffset, stamp)
      else this.#failed(batch, only?.errorCode)
    })
  }

  /** All that is under way is sent again, in order, on a new connection. */
  #failed(batch: Batch, errorCode: number | undefined): void {
    this.#world.trace(`${this.name} fails with ${errorCode} at ${batch.ids[0]}`)
    const isFirst = this.#open[0] === batch
    if (isFirst && errorCode === KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER) {
      this.#world.violated(
        `${this.name}: sequence ${batch.baseSequence} is refused as out of order, and it is the next`
      )
    }
    if (errorCode === KafkaError.INVALID_PRODUCER_EPOCH) this.#world.violated(`${this.name} is fenced by nobody`)
    this.#round++
    this.#peer.close()
    for (const each of this.#open) each.isInFlight = false
    this.#isWaiting = true
    this.#later(() => {
      this.#isWaiting = false
      this.#pump()
    })
  }

  #stored(batch: Batch, baseOffset: number, { durableSeq }: Stamp): void {
    const { stream, partition } = this.#plan
    const log = this.#world.model.logOf(stream, partition)!
    batch.ids.forEach((id, i) => {
      const there = log.ids[baseOffset + i]
      if (there !== id)
        this.#world.violated(`${id} is said to be at ${stream}/${partition}:${baseOffset + i}, not ${there}`)
      if (log.seqs[baseOffset + i]! >= durableSeq) this.#world.violated(`${id} was acknowledged before it was durable`)
    })
    this.#world.trace(`${this.name} has ${batch.ids[0]} at ${baseOffset}`)
    this.#open = this.#open.filter((each) => each !== batch)
    this.#pump()
  }

  /** Each record, of an idempotent producer once and in order. */
  check(): void {
    const { stream, partition, isIdempotent } = this.#plan
    const ids = this.#world.model.logOf(stream, partition)!.ids.filter((id) => id.startsWith(`${this.name}:`))
    // Without idempotence, what is sent again may come behind what was sent after it.
    const own = isIdempotent ? ids : [...new Set(ids)].sort((a, b) => numberOf(a) - numberOf(b))
    for (let n = 0; n < Math.max(own.length, this.#records); n++) {
      if (own[n] === `${this.name}:${n}`) continue
      this.#world.violated(`${stream}/${partition} has ${own[n]} of ${this.name} where its record ${n} belongs`)
    }
  }
}
