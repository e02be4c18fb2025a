import type { Clock } from "@logbrook/core/Clock"
import type { Limits } from "@logbrook/core/Limits"

/** Why the machine's clock counts again: it came back, it stayed where it is for long enough, or an operator said so. */
export type TrustReason = "clock" | "time" | "operator"

export interface ClockStart {
  /** The time of the last commit before this start; undefined in a new journal. */
  readonly lastTimeMs: number | undefined
  /** The time by which retention went when the server last ran, if the clock held then; undefined if it did not hold at the end. */
  readonly heldAtMs: number | undefined
}

type ClockLimits = Pick<Limits, "clockAheadMsMax" | "clockHoldMs">

/** The share of the passing time that the machine's clock may gain on the monotonic one for ever: clocks are trimmed by less. */
const drift = 0.01

/**
 * The clock by which retention goes: the machine's clock, unless that runs away. A clock that is set ten years ahead by mistake would let
 * everything expire at once; so while it is ahead of what the monotonic clock measures by more than `clockAheadMsMax`, time
 * passes as the monotonic clock says, and records expire when they would have. After `clockHoldMs` the machine's clock is
 * believed, as it is when an operator says so: a machine that was suspended, or a gateway that asks for the time once it is up.
 *
 * The clock at a start is believed, and one that is behind the journal's last commit may come back to it.
 */
export class RetentionClock implements Clock {
  readonly #clock: Clock
  readonly #limits: ClockLimits
  readonly monotonicMs: Clock["monotonicMs"]
  readonly after: Clock["after"]
  readonly nextTurn: Clock["nextTurn"]
  /** Unix time that is believed, and when that was by the monotonic clock. */
  #anchorMs: number
  #anchoredAtMs: number
  #heldSinceMs: number | undefined
  /** Told of each change by `look`: how far the clock is ahead, what retention goes by instead. */
  onHeld: ((aheadMs: number, nowMs: number) => void) | undefined
  onTrusted: ((reason: TrustReason) => void) | undefined

  constructor(clock: Clock, limits: ClockLimits, { lastTimeMs, heldAtMs }: ClockStart) {
    this.#clock = clock
    this.#limits = limits
    this.monotonicMs = clock.monotonicMs
    this.after = clock.after
    this.nextTurn = clock.nextTurn
    this.#anchorMs = heldAtMs ?? Math.max(clock.nowMs(), lastTimeMs ?? -Infinity)
    this.#anchoredAtMs = clock.monotonicMs()
    if (heldAtMs !== undefined) this.#heldSinceMs = this.#anchoredAtMs
  }

  get isHeld(): boolean {
    return this.#heldSinceMs !== undefined
  }

  /** How far the machine's clock is ahead of what retention would go by without it. */
  get aheadMs(): number {
    return this.#clock.nowMs() - this.#measuredMs()
  }

  readonly nowMs = (): number => (this.#isAhead() ? this.#measuredMs() : this.#clock.nowMs())

  #isAhead(): boolean {
    const { clockAheadMsMax, clockHoldMs } = this.#limits
    return clockHoldMs > 0 && this.aheadMs > clockAheadMsMax
  }

  #measuredMs(): number {
    return this.#anchorMs + this.#clock.monotonicMs() - this.#anchoredAtMs
  }

  /** To be called often: notices what has happened to the clock since. */
  look(): void {
    const atMs = this.#clock.monotonicMs()
    if (!this.#isAhead()) {
      this.#forgive(atMs)
      if (this.isHeld) this.#trusts("clock")
      return
    }
    if (this.#heldSinceMs === undefined) {
      this.#heldSinceMs = atMs
      this.onHeld?.(this.aheadMs, this.#measuredMs())
    }
    if (atMs - this.#heldSinceMs >= this.#limits.clockHoldMs) this.#believe("time")
  }

  /** The machine's clock is right, whatever the other one says. False: it counts already. */
  trust(): boolean {
    if (!this.isHeld) return false
    this.#believe("operator")
    return true
  }

  #believe(reason: TrustReason): void {
    this.#anchorMs = this.#clock.nowMs()
    this.#anchoredAtMs = this.#clock.monotonicMs()
    this.#trusts(reason)
  }

  #trusts(reason: TrustReason): void {
    this.#heldSinceMs = undefined
    this.onTrusted?.(reason)
  }

  /** A gain within the clock's drift is forgotten; a clock that is behind is not forgiven, since it may come back. */
  #forgive(atMs: number): void {
    const elapsedMs = atMs - this.#anchoredAtMs
    const gainedMs = Math.min(Math.max(this.aheadMs, 0), elapsedMs * drift)
    this.#anchorMs += elapsedMs + gainedMs
    this.#anchoredAtMs = atMs
  }
}
