import * as fs from "node:fs"
import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"

const checkEveryMs = 500

type DiskLimits = Pick<Limits, "diskReserveBytesMin" | "diskReserveRatioMin">

/** How much room there is for the journal. */
export interface Disk {
  /** Writes are refused. */
  readonly isLow: boolean
  /** Spare files and the like are given up. */
  readonly isTight: boolean
  readonly freeBytes: number
  readonly totalBytes: number
  /** Below this it is low. */
  readonly reserveBytes: number
  /** A commit of so many bytes is durable. */
  readonly wrote: (bytes: number) => void
}

/**
 * Writes are refused while less of the disk is free than the reserve, long before the journal itself would fail:
 * a failed commit ends the process. Reads and deletes go on.
 */
export class DiskGuard implements Disk {
  readonly #directory: string
  readonly #limits: DiskLimits
  #stop: (() => void) | undefined
  #onChange: ((isLow: boolean, freeBytes: number) => void) | undefined
  isLow = false
  freeBytes = Infinity
  totalBytes = 0

  constructor(directory: string, limits: DiskLimits) {
    this.#directory = directory
    this.#limits = limits
  }

  /** Between two checks, what is written counts against what was free; a commit takes up to twice its bytes. */
  wrote(bytes: number): void {
    this.freeBytes -= 2 * bytes
    if (!this.isLow && this.freeBytes < this.reserveBytes) this.check()
  }

  /** `onChange` is told of each change, whoever has looked. */
  start(clock: Clock, onChange: (isLow: boolean, freeBytes: number) => void): void {
    this.#onChange = onChange
    const check = (): void => {
      this.check()
      this.#stop = clock.after(checkEveryMs, check)
    }
    check()
  }

  stop(): void {
    this.#stop?.()
  }

  /** Reads the file system once. */
  check(): void {
    const { bavail, blocks, bsize } = fs.statfsSync(this.#directory)
    this.freeBytes = bavail * bsize
    this.totalBytes = blocks * bsize
    const wasLow = this.isLow
    this.isLow = this.freeBytes < this.reserveBytes
    if (wasLow !== this.isLow) this.#onChange?.(this.isLow, this.freeBytes)
  }

  /** Twice the reserve is left: what can be done without goes. */
  get isTight(): boolean {
    return this.freeBytes < 2 * this.reserveBytes
  }

  /** Below this it is low: the smaller of the two limits, so that a small disk is not full from the start. */
  get reserveBytes(): number {
    return Math.min(this.#limits.diskReserveBytesMin, this.totalBytes * this.#limits.diskReserveRatioMin)
  }
}
