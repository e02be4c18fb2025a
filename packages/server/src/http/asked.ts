import * as Effect from "effect/Effect"
import type { Address, AnyKind, CommandOf, FailureOf, ReplyOf } from "@logbrook/core/actor/Kind"
import type { Broker } from "../Broker.ts"
import { Caller, originBy } from "./Caller.ts"
import { EndpointRefused } from "./refusals.ts"

/** Asks an actor for an endpoint: succeeds once what was decided is durable. `unavailable` tells that it could not answer. */
export const asked = <K extends AnyKind, const C extends CommandOf<K>>(
  broker: Broker,
  to: Address<K>,
  command: C,
  what: string,
  unavailable: string
): Effect.Effect<ReplyOf<K, C>, FailureOf<K> | EndpointRefused> =>
  answered(broker, what, unavailable, (origin) => broker.shards.ask(to, command, { origin }))

/** As `asked`, for a question that is asked by `ask`. `what`: the request, as the journal tells it with who made it. */
export const answered = <A, E>(
  { shards }: Broker,
  what: string,
  unavailable: string,
  ask: (origin: string) => Effect.Effect<A, E>
): Effect.Effect<A, E | EndpointRefused> =>
  Effect.flatMap(Caller, (caller) => {
    if (shards.isPoisoned) return refused("the journal has failed")
    return Effect.catchAllDefect(ask(originBy(what, caller)), () => refused(unavailable))
  })

const refused = (message: string): EndpointRefused => new EndpointRefused({ code: "UNAVAILABLE", message })
