import * as Context from "effect/Context"
import { anonymous, type Principal } from "@logbrook/core/access/Access"

/** The one who asks: what a request leads to is journaled with it. */
export interface Asking {
  readonly principal: Principal
  readonly address: string
}

/** The one behind a request whose connection is gone already. */
export const unknownCaller: Asking = { principal: anonymous, address: "?" }

/** The one who made the request that an endpoint answers. */
export class Caller extends Context.Reference<Caller>()("logbrook/Caller", {
  defaultValue: (): Asking => unknownCaller
}) {}

/** `http DELETE /streams by anonymous@127.0.0.1`: the origin, in the journal, of what a request leads to. */
export const originBy = (what: string, { principal, address }: Asking): string =>
  `${what} by ${principal.name}@${address}`
