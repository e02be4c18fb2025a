import type { Denial, Operation, Principal, Resource, Rule } from "./Access.ts"
import { rules as rulesForAll } from "./rules.ts"

/** The one place that says who may do what: every path of every protocol asks here before it does anything. */
export class Authorizer {
  readonly #rules: ReadonlyArray<Rule>

  constructor(rules: ReadonlyArray<Rule> = rulesForAll) {
    this.#rules = rules
  }

  /** Returns the denial of the first rule that is against it; undefined: it may be done. */
  authorize(principal: Principal, operation: Operation, resource: Resource): Denial | undefined {
    for (const rule of this.#rules) {
      const denial = rule(principal, operation, resource)
      if (denial !== undefined) return denial
    }
    return undefined
  }
}
