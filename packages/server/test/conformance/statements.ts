import type { Statement } from "./Statement.ts"
import { statements31 } from "./statements31.ts"
import { statements311 } from "./statements311.ts"
import { statements5 } from "./statements5.ts"

/** As CONNECT has it. */
export type Version = 3 | 4 | 5

export interface Standard {
  /** As it is called. */
  readonly name: string
  readonly version: Version
  /** Before the number of a statement. */
  readonly prefix: string
  readonly statements: Readonly<Record<string, Statement>>
}

/** A statement as the names of tests have it, such as `5.0 MQTT-3.1.0-1`, `3.1.1 MQTT-3.1.0-1` or `3.1 CONNECT-1`. */
export type StatementId = `5.0 MQTT-${string}` | `3.1.1 MQTT-${string}` | `3.1 ${string}`

export const standards: ReadonlyArray<Standard> = [
  { name: "MQTT 5.0", version: 5, prefix: "5.0 MQTT-", statements: statements5 },
  { name: "MQTT 3.1.1", version: 4, prefix: "3.1.1 MQTT-", statements: statements311 },
  { name: "MQTT 3.1", version: 3, prefix: "3.1 ", statements: statements31 }
]

/** By its whole name. */
export const statementsById: ReadonlyMap<string, Statement & { readonly version: Version }> = new Map(
  standards.flatMap(({ version, prefix, statements }) =>
    Object.entries(statements).map(([number, statement]) => [prefix + number, { ...statement, version }] as const)
  )
)
