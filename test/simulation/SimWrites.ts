import { crc32c } from "@node-rs/crc32"
import type { Commit } from "@logbrook/core/journal/Journal"
import type { TellWritten } from "@logbrook/core/journal/SegmentChain"
import type { DiskPlan } from "./Plan.ts"
import type { Random } from "./Random.ts"
import type { Cancel, Scheduler } from "./Scheduler.ts"
import type { SimDisk } from "./SimDisk.ts"
import type { SimSegment } from "./SimSegment.ts"

/** What the journal's user does against its contract. */
export interface JournalWatch {
  readonly violated: (message: string) => void
  readonly trace: (line: string) => void
  /** A native promise is on its way: the simulation waits for it before it goes on. */
  readonly promised: () => void
  /** A commit is under way. */
  readonly appended: () => void
}

interface Write {
  /** Undefined once it is done. */
  write: (() => void) | undefined
  readonly cancels: Array<Cancel>
}

/** What became of a write: on the disk and told so, on the disk and told as refused, or not there. */
type Fate = "written" | "refused" | "failed"

const fingerprint = (commit: Commit): number => {
  let crc = crc32c(commit.frame)
  for (const chunk of commit.chunks) crc = crc32c(chunk, crc)
  for (const { bytes } of commit.batches) crc = crc32c(bytes, crc)
  return crc
}

const noBytes = Buffer.alloc(0)

/**
 * One process's writes to the simulated disk: they take time, may fail, and reach it in their order; a crash leaves any
 * first part of what was under way.
 */
export class SimWrites {
  readonly #disk: SimDisk
  readonly #scheduler: Scheduler
  readonly #random: Random
  readonly #plan: DiskPlan
  readonly #watch: JournalWatch
  readonly #writes: Array<Write> = []
  #durableUs = 0
  #toldUs = 0
  #appends = 0
  #failsAtAppend = Infinity
  #isFailing = false
  #view = noBytes
  isGone = false

  constructor(disk: SimDisk, scheduler: Scheduler, random: Random, plan: DiskPlan, watch: JournalWatch) {
    this.#disk = disk
    this.#scheduler = scheduler
    this.#random = random
    this.#plan = plan
    this.#watch = watch
  }

  failsIn(appends: number): void {
    this.#failsAtAppend = this.#appends + appends
  }

  commit(segment: SimSegment, commit: Commit, tell: TellWritten): void {
    const fate = this.#fateOf(commit)
    const before = fingerprint(commit)
    const write = (): void => {
      if (fingerprint(commit) !== before) {
        this.#watch.violated(`commit ${commit.firstSeq} changed before it was durable`)
      }
      if (commit.firstSeq !== this.#disk.nextSeq) {
        this.#watch.violated(`commit ${commit.firstSeq} was appended where ${this.#disk.nextSeq} was to come`)
      }
      this.#disk.write(segment, commit)
    }
    this.#put(fate, write, tell)
  }

  /** A snapshot's page or seal. */
  aside(write: () => void, tell: TellWritten): void {
    this.#put(this.#isFailing ? "failed" : "written", write, tell)
  }

  /** EIO or ENOSPC; sometimes the first commit that fails is on the disk all the same. */
  #fateOf({ firstSeq }: Commit): Fate {
    if (this.#isFailing) return "failed"
    if (++this.#appends < this.#failsAtAppend) return "written"
    this.#isFailing = true
    const fate = this.#random.chance(0.3) ? "refused" : "failed"
    this.#watch.trace(`disk fails at ${firstSeq}${fate === "refused" ? ", written" : ""}`)
    return fate
  }

  #latencyUs(): number {
    const { latencyUsMin, latencyUsMax, stallChance, stallMsMax } = this.#plan
    if (this.#random.chance(stallChance)) return this.#random.between(1, stallMsMax) * 1000
    return this.#random.tail(latencyUsMin, latencyUsMax)
  }

  #put(fate: Fate, write: () => void, tell: TellWritten): void {
    const isThere = fate !== "failed"
    const told = isThere ? fate === "written" : new Error(this.#random.pick(["EIO", "ENOSPC", "EFBIG"]))
    this.#begin(isThere ? write : undefined, () => tell(told))
  }

  #begin(write: (() => void) | undefined, tell: () => void): void {
    const { nowUs } = this.#scheduler
    const entry: Write = { write, cancels: [] }
    this.#writes.push(entry)
    this.#durableUs = Math.max(this.#durableUs, nowUs + this.#latencyUs())
    this.#toldUs = Math.max(this.#toldUs, this.#durableUs + this.#random.tail(1, 400))
    entry.cancels.push(this.#scheduler.after(this.#durableUs - nowUs, () => this.#write(entry)))
    entry.cancels.push(
      this.#scheduler.after(this.#toldUs - nowUs, () => {
        this.#writes.splice(this.#writes.indexOf(entry), 1)
        tell()
      })
    )
  }

  #write(entry: Write): void {
    const { write } = entry
    entry.write = undefined
    write?.()
  }

  kill(): void {
    this.isGone = true
    const open = this.#writes.filter(({ write }) => write !== undefined)
    let survive = this.#random.chance(0.4) ? this.#random.between(0, open.length) : 0
    for (const { cancels } of this.#writes) for (const cancel of cancels) cancel()
    this.#watch.trace(`crash with ${open.length} writes open, ${survive} survive`)
    for (const entry of open) if (survive-- > 0) this.#write(entry)
  }

  /** Until a while has passed; for ever if the process ends before. */
  pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#scheduler.after(this.#random.tail(100, 300_000), () => {
      if (this.isGone) return
      resolve()
      this.#watch.promised()
    })
    return promise
  }

  /** In a buffer that the next read of any segment overwrites, as LMDB's is. */
  view(bytes: Buffer | undefined): Buffer | undefined {
    this.#view.fill(0xdb)
    this.#view = bytes === undefined ? noBytes : Buffer.from(bytes)
    return bytes && this.#view
  }
}
