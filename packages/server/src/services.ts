/**
 * The parts of a server that another composition may replace, as the simulation and the tests do. Code that runs for each record
 * or packet takes the value once, and calls its methods as plain code.
 */
import * as Context from "effect/Context"
import type * as Access from "@logbrook/core/access/Authorizer"
import type { ActorId, AnyDefinition } from "@logbrook/core/actor/Definition"
import type * as Time from "@logbrook/core/Clock"
import type * as Storage from "@logbrook/core/journal/Journal"
import type { RewritableChain } from "@logbrook/core/journal/SegmentChain"
import type { Limits } from "@logbrook/core/Limits"
import type * as Space from "./DiskGuard.ts"
import type * as Lines from "./Log.ts"
import type * as Counters from "./Metrics.ts"
import type { MqttOptions } from "./mqtt/MqttOptions.ts"

/** Where events and records become durable. */
export class Journal extends Context.Tag("logbrook/Journal")<Journal, Storage.Journal>() {}

/** The same journal's closed segments, for what rewrites them. */
export class Segments extends Context.Tag("logbrook/Segments")<
  Segments,
  RewritableChain & { readonly appendedBytes: number }
>() {}

export class Clock extends Context.Tag("logbrook/Clock")<Clock, Time.Clock>() {}

export class Disk extends Context.Tag("logbrook/Disk")<Disk, Space.Disk>() {}

export class Log extends Context.Tag("logbrook/Log")<Log, Lines.Log>() {}

export class Metrics extends Context.Tag("logbrook/Metrics")<Metrics, Counters.Metrics>() {}

export class Authorizer extends Context.Tag("logbrook/Authorizer")<Authorizer, Access.Authorizer>() {}

/** These do not change while a server lives. */
export class Settings extends Context.Tag("logbrook/Settings")<
  Settings,
  {
    readonly limits: Limits
    readonly mqtt: MqttOptions
    readonly definitions: ReadonlyArray<AnyDefinition>
    readonly version: string
    /** Kafka clients see both. */
    readonly clusterId: string
    readonly nodeId: number
  }
>() {}

/** These are told what goes wrong inside. */
export class Faults extends Context.Tag("logbrook/Faults")<
  Faults,
  {
    /** The server cannot go on: a commit failed, or the shard was given up. */
    readonly died: (reason: string) => void
    readonly defect: (where: string, defect: unknown) => void
    /** A turn threw; the shard begins anew. */
    readonly shardRestarts: (defect: unknown) => void
    /** An actor's state was rebuilt. */
    readonly actorRestarted: (actor: ActorId) => void
  }
>() {}
