/**
 * How a server is put together from its parts (`services.ts`). `Server.ts` runs it over the disk, the test kits over memory, both
 * under the sockets of `listeners.ts`; the simulation over a simulated journal, clock, disk and network.
 *
 *     Journal, Clock ─► Recovered ─► Broker ─► Mqtt ─► Running ─► Retention ─► Settling ─► listeners
 *     Disk, Log, Metrics, Authorizer ──┘
 *
 * Layers release what they acquired in reverse order.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Clock } from "@logbrook/core/Clock"
import { effectClockOf } from "@logbrook/core/effectClock"
import type { Journal } from "@logbrook/core/journal/Journal"
import { readingJournal } from "@logbrook/core/journal/readingJournal"
import type { Settler } from "@logbrook/core/settle/Settler"
import type { Recovery } from "@logbrook/core/shard/recover"
import type { Shard } from "@logbrook/core/shard/Shard"
import { type Placement, Shards } from "@logbrook/core/shard/Shards"
import { type ShardFault, supervise } from "@logbrook/core/shard/supervise"
import type * as Values from "./Broker.ts"
import { AuthenticationMethods } from "./mqtt/authentication/AuthenticationMethod.ts"
import { makeMqttBroker, type MqttBroker } from "./mqtt/MqttBroker.ts"
import { ConnectionGate } from "./net/ConnectionGate.ts"
import * as Retaining from "./Retention.ts"
import type { ClockStart } from "./RetentionClock.ts"
import { watchCommits } from "./serverMetrics.ts"
import * as Services from "./services.ts"
import { startSettling, type SettlingOptions } from "./settling.ts"
import { forgetDeletedStreams } from "./streams/forgetDeletedStreams.ts"
import { StreamDirectory } from "./streams/StreamDirectory.ts"
import { finishTransactions } from "./transactions/finishTransactions.ts"
import { TransactionDirectory } from "./transactions/TransactionDirectory.ts"
import { watchTransactions } from "./transactions/transactionMetrics.ts"

/** Shards whose states are those of their journals; they decide nothing yet. */
export class Recovered extends Context.Tag("logbrook/Recovered")<
  Recovered,
  { readonly shards: Shards; readonly recovery: Recovery; readonly clockStart: ClockStart }
>() {}

/** The value that every protocol's shell works with. */
export class Broker extends Context.Tag("logbrook/Broker")<Broker, Values.Broker>() {}

export class Mqtt extends Context.Tag("logbrook/Mqtt")<Mqtt, MqttBroker>() {}

/** The shards decide and commit for as long as this lives. */
export class Running extends Context.Tag("logbrook/Running")<Running, true>() {}

export class Retention extends Context.Tag("logbrook/Retention")<Retention, Retaining.Retention>() {}

export class Settling extends Context.Tag("logbrook/Settling")<Settling, Settler>() {}

/** Shards over these journals, one for each. */
export const recovered = (journals: ReadonlyArray<Journal>, placement?: Placement) =>
  Effect.gen(function* () {
    const clock = yield* Services.Clock
    const { limits, definitions, version } = yield* Services.Settings
    const { died, defect, actorRestarted } = yield* Services.Faults
    const shards = new Shards({
      journals,
      ...(placement && { placement }),
      clock,
      limits,
      definitions,
      version,
      onPoison: ({ reason, detail }) => died(`the journal failed (${reason}): ${detail}`),
      onDefect: defect,
      onRestart: actorRestarted
    })
    const recovery = yield* readingJournal(() => shards.recover())
    // Before anything is decided: the start itself is a commit of now.
    return { shards, recovery, clockStart: Retaining.clockStartOf(shards, journals[0]!) }
  })

export const layerRecovered = Layer.effect(
  Recovered,
  Effect.flatMap(Services.Journal, (journal) => recovered([journal]))
)

export const layerBroker = Layer.effect(
  Broker,
  Effect.gen(function* () {
    const { shards } = yield* Recovered
    const clock = yield* Services.Clock
    const { limits, clusterId, nodeId } = yield* Services.Settings
    const broker: Values.Broker = {
      shards,
      directory: StreamDirectory.follow(shards, limits),
      transactions: TransactionDirectory.follow(shards),
      authorizer: yield* Services.Authorizer,
      disk: yield* Services.Disk,
      gate: new ConnectionGate(limits, clock, shards.memory),
      clock,
      limits,
      metrics: yield* Services.Metrics,
      log: yield* Services.Log,
      clusterId,
      nodeId
    }
    watchCommits(broker, yield* Services.Journal)
    watchTransactions(broker)
    return broker
  })
)

export const layerMqtt = Layer.effect(
  Mqtt,
  Effect.gen(function* () {
    const { mqtt } = yield* Services.Settings
    return makeMqttBroker(yield* Broker, mqtt, yield* AuthenticationMethods)
  })
)

const givenUp = (cause: Cause.Cause<ShardFault>): string => {
  const fault = Cause.failureOption(cause)
  return Option.isSome(fault)
    ? `the shard failed too often: ${String(fault.value.defect)}`
    : `the shard could not be rebuilt: ${String(Cause.squash(cause))}`
}

/** The shards' fibers: the end of one is the server's end. */
const run = Effect.gen(function* () {
  const broker = yield* Broker
  const { shards, clock } = broker
  // Before a shard runs: a restart's first turns publish the wills of connections that the crash took.
  yield* Mqtt
  // And they repeat what is left to do of deleted streams.
  forgetDeletedStreams(broker)
  // And finish transactions whose outcome is certain.
  finishTransactions(broker)
  const { died, shardRestarts } = yield* Services.Faults
  for (const shard of shards.all) {
    const fiber = yield* supervise(shard, clock, ({ defect }) => shardRestarts(defect))
    const watch = Effect.flatMap(Fiber.await(fiber), (exit) =>
      Effect.sync(() => {
        if (Exit.isFailure(exit)) died(givenUp(exit.cause))
      })
    )
    yield* Effect.forkScoped(watch)
    // Runs before the fiber is interrupted: what was accepted becomes durable, and the stop is journaled. A shard that was given
    // up drains no more.
    const drained = Effect.raceFirst(
      Effect.promise(() => shard.drained()),
      Effect.asVoid(Fiber.await(fiber))
    )
    yield* Effect.addFinalizer(() => (shard.isPoisoned ? Effect.void : Effect.interruptible(drained)))
  }
  return true as const
})

export const layerRunning = Layer.scoped(Running, run)

/** Runs `task` again and again, `everyMs` behind its end, until the scope closes. A defect is told, and it goes on. */
const regularly = (clock: Clock, everyMs: number, task: () => void, onDefect: (defect: unknown) => void) =>
  Effect.sync(task).pipe(
    Effect.catchAllDefect((defect) => Effect.sync(() => onDefect(defect))),
    Effect.schedule(Schedule.spaced(everyMs)),
    Effect.withClock(effectClockOf(clock)),
    Effect.forkScoped
  )

export const layerRetention = (history?: Retaining.History) =>
  Layer.scoped(
    Retention,
    Effect.gen(function* () {
      const broker = yield* Broker
      const { clockStart } = yield* Recovered
      const { defect: onDefect } = yield* Services.Faults
      yield* Running
      const retention = new Retaining.Retention(broker, history, clockStart)
      yield* regularly(
        broker.clock,
        Retaining.lookEveryMs,
        () => retention.look(),
        (defect) => onDefect("retention", defect)
      )
      return retention
    })
  )

/** Closed segments of the first shard's journal are settled, compacted, rewritten and merged. */
export const layerSettling = (optionsFor: (retention: Retaining.Retention, shard: Shard) => SettlingOptions) =>
  Layer.scoped(
    Settling,
    Effect.gen(function* () {
      const broker = yield* Broker
      const segments = yield* Services.Segments
      const shard = broker.shards.all[0]!
      const options = optionsFor(yield* Retention, shard)
      return yield* Effect.acquireRelease(
        Effect.sync(() => startSettling(broker, shard, segments, options)),
        (settler) => Effect.promise(() => settler.stop())
      )
    })
  )

/** Everything that stands before a client can be served, and lives until all have left. */
export const layerOver = <E, R>(shards: Layer.Layer<Recovered, E, R>) =>
  layerRunning.pipe(Layer.provideMerge(layerMqtt), Layer.provideMerge(layerBroker), Layer.provideMerge(shards))

/** As it ships: one shard over the one journal. */
export const layer = layerOver(layerRecovered)
