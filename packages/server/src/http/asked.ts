import * as Effect from "effect/Effect"
import type { Address, AnyKind, CommandOf, FailureOf, ReplyOf } from "@logbrook/core/actor/Kind"
import type { Broker } from "../Broker.ts"
import { EndpointRefused } from "./refusals.ts"

/** Asks an actor for an endpoint: succeeds once what was decided is durable. `unavailable` tells that it could not answer. */
export const asked = <K extends AnyKind, const C extends CommandOf<K>>(
  { shards }: Broker,
  to: Address<K>,
  command: C,
  origin: string,
  unavailable: string
): Effect.Effect<ReplyOf<K, C>, FailureOf<K> | EndpointRefused> =>
  Effect.suspend(() => {
    if (shards.isPoisoned) return refused("the journal has failed")
    return Effect.catchAllDefect(shards.ask(to, command, { origin }), () => refused(unavailable))
  })

const refused = (message: string): EndpointRefused => new EndpointRefused({ code: "UNAVAILABLE", message })
