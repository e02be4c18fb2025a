import type { Buffers } from "@logbrook/core/BufferPool"
import type { Clock } from "@logbrook/core/Clock"
import { type Codec, compress, type CompressLater } from "@logbrook/core/Compression"
import { type BatchLimits, recordsOf, withRecords, withRecordsOf } from "@logbrook/core/RecordBatch"
import type { Shards } from "@logbrook/core/shard/Shards"
import { TurnShare } from "../TurnShare.ts"

/** A producer's batch that was checked. */
export interface Recompression {
  /** In a buffer of its own, which is the recompressor's from now on. */
  readonly bytes: Uint8Array
  /** Bytes of the records, decompressed. */
  readonly recordsBytes: number
  /** The codec that it is to have; undefined: it stays as it is, among others. */
  readonly codec: Codec | "none" | undefined
  readonly limits: BatchLimits
}

/** The batch, in a buffer of the node's; or why there is none, which is an `InvalidBatch` where it would be too large. */
export type Recompressed = Uint8Array | Error

/** Where large batches are compressed, and from how many bytes of records on; the simulation has its own. */
export interface Compressing {
  readonly later: CompressLater
  readonly largeBytesMin: number
}

/** The part of the node that it needs. */
interface Host {
  readonly broker: { readonly clock: Clock; readonly shards: Pick<Shards, "hasRoom" | "whenRoom"> }
  readonly requestBuffers: Buffers
  /** Bytes of requests are kept from now on. */
  readonly took: (bytes: number) => void
  readonly gave: (bytes: number) => void
}

interface Job {
  readonly batches: ReadonlyArray<Recompression>
  readonly done: (made: ReadonlyArray<Recompressed>) => void
  readonly made: Array<Recompressed>
}

/** Bytes of records of small batches that are compressed in a turn of the event loop: 6 ms at worst. */
const turnBytesMax = 32 * 1024
/** Each call costs as much as so many bytes do, 30 µs or more. */
const callBytes = 2048

const keptBytes = (batches: ReadonlyArray<Recompression>): number =>
  batches.reduce((sum, { bytes }) => sum + bytes.length, 0)

const attempt = (make: () => Uint8Array): Recompressed => {
  try {
    return make()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

/**
 * Compresses producers' batches anew, one after the other over all connections, in the order in which they are given.
 *
 * 1. It holds the event loop for milliseconds at most: large batches are compressed in a thread, and what small ones cost, for which the
 *    way to a thread would be longer than the work, is bounded in each turn of the event loop.
 * 2. A small batch becomes a thousand times larger when its topic has none compressed. So nothing is begun while the shards are full, and
 *    what was made of one job is handed over before the next is begun.
 * 3. Batches that wait here count among the bytes of requests in flight, whether or not their client is still there.
 */
export class Recompressor {
  readonly #host: Host
  readonly #compressing: Compressing
  readonly #share: TurnShare
  /** The first is under way. */
  readonly #jobs: Array<Job> = []
  #isRunning = false

  constructor(host: Host, compressing: Compressing) {
    this.#host = host
    this.#compressing = compressing
    this.#share = new TurnShare(host.broker.clock, turnBytesMax)
  }

  /** `done` hears what was made of the batches, in their order, and owns it; perhaps at once. It does not throw. */
  recompress(batches: Job["batches"], done: Job["done"]): void {
    this.#host.took(keptBytes(batches))
    this.#jobs.push({ batches, done, made: [] })
    if (!this.#isRunning) this.#run()
  }

  readonly #run = (): void => {
    this.#isRunning = true
    for (let job = this.#jobs[0]; job !== undefined; job = this.#jobs[0]) {
      const { batches, made } = job
      const batch = batches[made.length]
      if (batch === undefined) this.#end(job)
      else if (batch.codec === undefined) made.push(batch.bytes)
      else if (this.#share.isUsedUp) return this.#share.wait(this.#run)
      else if (!this.#host.broker.shards.hasRoom) return this.#host.broker.shards.whenRoom(this.#run)
      else if (batch.recordsBytes < this.#compressing.largeBytesMin) made.push(this.#now(batch, batch.codec))
      else return this.#later(batch, batch.codec, made)
    }
    this.#isRunning = false
  }

  #end({ batches, done, made }: Job): void {
    this.#jobs.shift()
    for (const [i, { bytes }] of batches.entries()) if (made[i] !== bytes) this.#host.requestBuffers.give(bytes)
    this.#host.gave(keptBytes(batches))
    done(made)
  }

  #now({ bytes, recordsBytes, limits }: Recompression, codec: Codec | "none"): Recompressed {
    this.#share.use(recordsBytes + callBytes)
    return attempt(() =>
      withRecordsOf(bytes, limits, (records) =>
        withRecords(bytes, codec, codec === "none" ? records : compress(codec, records), limits, this.#take)
      )
    )
  }

  /** Its records are decompressed and copied in this turn of the event loop, in which no other batch is begun. */
  #later({ bytes, limits }: Recompression, codec: Codec | "none", made: Job["made"]): void {
    this.#share.use(turnBytesMax)
    const goOn = (packed: Recompressed): void => {
      made.push(packed instanceof Error ? packed : attempt(() => withRecords(bytes, codec, packed, limits, this.#take)))
      this.#run()
    }
    const records = attempt(() => recordsOf(bytes, limits))
    if (records instanceof Error || codec === "none") goOn(records)
    else this.#compressing.later(codec, records, goOn)
  }

  readonly #take = (bytes: number): Uint8Array => this.#host.requestBuffers.take(bytes)
}
