import type { LoadProcess } from "../load/LoadProcess.ts"
import type { Chart } from "../svg.ts"

/** What every scenario is given. */
export interface Bench {
  readonly load: LoadProcess
  readonly serverCpus: string
  readonly clientCpus: string
  /** Rounds of interleaved slices that count; one more before them warms up. */
  readonly rounds: number
  readonly sliceMs: number
  /** A shorter run, whose figures say less. */
  readonly isQuick: boolean
  readonly progress: (line: string) => void
}

/** A figure beside what was asked of it. */
export interface Bar {
  readonly what: string
  readonly measured: number
  readonly unit: string
  readonly bound: { readonly atLeast: number } | { readonly atMost: number } | undefined
}

export interface Table {
  readonly title: string
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

export interface Outcome {
  readonly scenario: string
  readonly tables: ReadonlyArray<Table>
  readonly bars: ReadonlyArray<Bar>
  readonly charts?: ReadonlyArray<Chart>
  /** Everything that was measured, for the JSON file. */
  readonly raw: unknown
}

export type Scenario = (bench: Bench) => Promise<Outcome>

export const isMet = ({ measured, bound }: Bar): boolean =>
  bound === undefined || ("atLeast" in bound ? measured >= bound.atLeast : measured <= bound.atMost)
