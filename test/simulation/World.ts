import type { NetworkPlan, Plan } from "./Plan.ts"
import type { Link, Stamp } from "./Network.ts"
import type { Model } from "./Model.ts"
import type { Random } from "./Random.ts"
import type { Scheduler } from "./Scheduler.ts"
import type { GroupLedger } from "./clients/GroupLedger.ts"
import type { MqttLedger } from "./clients/MqttLedger.ts"

/** A client's side of a connection. */
export interface ClientLink {
  readonly link: Link
  readonly write: (bytes: Uint8Array) => void
  /** In order: behind what was written. */
  readonly end: () => void
  /** At once; the server hears of it when it hears of it. */
  readonly reset: () => void
}

export interface ClientEvents {
  readonly onBytes: (chunk: Uint8Array, stamp: Stamp) => void
  readonly onClosed: () => void
}

/** What simulated clients live in. */
export interface World {
  readonly plan: Plan
  readonly network: NetworkPlan
  readonly scheduler: Scheduler
  readonly model: Model
  readonly mqtt: MqttLedger
  readonly groups: GroupLedger
  /** No more faults from now on. */
  readonly isHealed: boolean
  /** Server lives and other mishaps so far: whoever compares two moments can tell whether anything came between. */
  readonly mishaps: number
  readonly random: (name: string) => Random
  readonly trace: (line: string) => void
  /** Ends the run. */
  readonly violated: (message: string) => never
  /** An operator changes a stream's configuration; whether that becomes durable is to be seen in the model. */
  readonly alter: (stream: string, config: ReadonlyArray<readonly [string, string]>) => void
  readonly connect: (protocol: "mqtt" | "kafka", name: string, events: ClientEvents) => ClientLink
}

/** A simulated client, or several that belong together. */
export interface Client {
  readonly name: string
  readonly start: () => void
  /** What it still waits for; undefined when it has done what it was to do. */
  readonly waitsFor: () => string | undefined
  /** Leaves in order. */
  readonly leave: () => void
}
