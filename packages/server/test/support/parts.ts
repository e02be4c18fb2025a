import * as os from "node:os"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import type { AnyDefinition } from "@logbrook/core/actor/Definition"
import { type Clock, systemClock } from "@logbrook/core/Clock"
import type { Journal } from "@logbrook/core/journal/Journal"
import { defaultLimits, type Limits } from "@logbrook/core/Limits"
import { definitions } from "../../src/Broker.ts"
import { Broker, layer } from "../../src/composition.ts"
import { DiskGuard } from "../../src/DiskGuard.ts"
import type { Log } from "../../src/Log.ts"
import { Metrics } from "../../src/Metrics.ts"
import { type AuthenticationMethod, AuthenticationMethods } from "../../src/mqtt/authentication/AuthenticationMethod.ts"
import { defaultMqttOptions, type MqttOptions } from "../../src/mqtt/MqttOptions.ts"
import * as Services from "../../src/services.ts"

export interface TestParts {
  readonly journal: Journal
  readonly clock?: Clock
  readonly limits?: Limits
  readonly mqtt?: Partial<MqttOptions>
  readonly authenticationMethods?: ReadonlyArray<AuthenticationMethod>
  readonly definitions?: ReadonlyArray<AnyDefinition>
  readonly authorizer?: Authorizer
  readonly log?: Log
  /** Nobody looks at the file system unless the test does. */
  readonly disk?: DiskGuard
  /** Whatever goes wrong fails the test without them. */
  readonly faults?: Partial<Context.Tag.Service<typeof Services.Faults>>
}

const silent = (): void => undefined
const silentLog: Log = { debug: silent, info: silent, warn: silent, error: silent }

/** Behind everything that would catch it. */
const fail = (what: string, cause?: unknown): void => {
  queueMicrotask(() => {
    throw new Error(what, { cause })
  })
}

/** The parts of a server that a test replaces, for `composition.ts`. */
export const layerTest = (parts: TestParts) => {
  const { journal, clock = systemClock, limits = defaultLimits, log = silentLog } = parts
  return Layer.succeedContext(
    Context.empty().pipe(
      Context.add(Services.Journal, journal),
      Context.add(Services.Clock, clock),
      Context.add(Services.Disk, parts.disk ?? new DiskGuard(os.tmpdir(), limits)),
      Context.add(Services.Log, log),
      Context.add(Services.Metrics, new Metrics()),
      Context.add(Services.Authorizer, parts.authorizer ?? new Authorizer()),
      Context.add(Services.Settings, {
        limits,
        mqtt: { ...defaultMqttOptions, ...parts.mqtt },
        definitions: parts.definitions ?? definitions(limits),
        version: "test",
        clusterId: "test-cluster",
        nodeId: 1
      }),
      Context.add(AuthenticationMethods, parts.authenticationMethods ?? []),
      Context.add(Services.Faults, {
        died: fail,
        defect: fail,
        shardRestarts: (defect) => fail("the shard restarts", defect),
        actorRestarted: silent,
        ...parts.faults
      })
    )
  )
}

/** What a layer makes, at once; `close` releases it. */
export const built = <Made, E>(layer: Layer.Layer<Made, E>) => {
  const scope = Effect.runSync(Scope.make())
  const context = Effect.runSync(Layer.buildWithScope(layer, scope))
  return { context, close: (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

/** What an effect acquires; `close` releases it. */
export const acquired = async <Made, E>(effect: Effect.Effect<Made, E, Scope.Scope>) => {
  const scope = Effect.runSync(Scope.make())
  const made = await Effect.runPromise(Scope.extend(effect, scope))
  return { made, close: (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

/** A broker of one shard over these parts, which runs until `close`. */
export const running = (parts: TestParts) => {
  const { context, close } = built(layer.pipe(Layer.provide(layerTest(parts))))
  const broker = Context.get(context, Broker)
  return { context, broker, shard: broker.shards.all[0]!, close }
}
