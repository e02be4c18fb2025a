/** Label values by name; never a client id or a topic. */
export type Labels = Readonly<Record<string, string | number>>

type Kind = "counter" | "gauge" | "histogram"

/** A series of a counter. */
export interface Counter {
  readonly add: (n: number) => void
  readonly value: number
}

interface Family {
  readonly kind: Kind
  readonly help: string
  readonly series: Map<string, { value: number; buckets: Array<number>; sum: number }>
}

/** A gauge with a series for each row of a table. */
export interface ColumnFamily {
  readonly name: string
  readonly help: string
  /** Names of the labels, one for each of a row's labels. */
  readonly labels: ReadonlyArray<string>
}

export interface Row {
  /** Their values. */
  readonly labels: ReadonlyArray<string | number>
  /** The value of each of the table's families; undefined where the row has none. */
  readonly values: ReadonlyArray<number | undefined>
}

/** Families over one set that may be large: the rows are read when they are asked for, and the largest get series. */
export interface Table {
  /** The name of the rows in the label of `logbrook_metrics_rows_left_out`. */
  readonly name: string
  readonly families: ReadonlyArray<ColumnFamily>
  /** The column by which a row is large. */
  readonly rankedBy: number
  /** The event loop may turn between two rows: what has gone meanwhile is passed over, nothing comes twice. */
  readonly read: () => Iterable<Row>
}

/** Seconds; powers of two from 0.25 ms to 16 s. */
const bucketBounds: ReadonlyArray<number> = Array.from({ length: 17 }, (_, i) => 0.00025 * 2 ** i)

const labelText = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(String(value))}"`)
  return pairs.join(",")
}

const escapeLabel = (value: string): string => value.replaceAll(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))

const line = (name: string, labels: string, value: number): string => `${name}${labels && `{${labels}}`} ${value}\n`

/** Counters, gauges and histograms in Prometheus' text format (version 0.0.4). Units are base units, in the names. */
export class Metrics {
  readonly #families = new Map<string, Family>()
  /** Set gauges just before they are read. */
  readonly #collectors: Array<() => void> = []
  readonly #tables: Array<Table> = []

  #series(name: string, kind: Kind, labels: Labels) {
    const family = this.#families.get(name)
    if (family === undefined || family.kind !== kind) throw new Error(`${name} was not declared as a ${kind}`)
    const key = labelText(labels)
    let series = family.series.get(key)
    if (series === undefined) {
      series = { value: 0, buckets: kind === "histogram" ? bucketBounds.map(() => 0) : [], sum: 0 }
      family.series.set(key, series)
    }
    return series
  }

  declare(name: string, kind: Kind, help: string): void {
    this.#families.set(name, { kind, help, series: new Map() })
  }

  /** A counter's handle for hot paths: no look-up per call. */
  counter(name: string, labels: Labels = {}): Counter {
    const series = this.#series(name, "counter", labels)
    return {
      add: (n) => {
        series.value += n
      },
      get value() {
        return series.value
      }
    }
  }

  add(name: string, labels: Labels, n = 1): void {
    this.#series(name, "counter", labels).value += n
  }

  set(name: string, labels: Labels, value: number): void {
    this.#series(name, "gauge", labels).value = value
  }

  observe(name: string, labels: Labels, seconds: number): void {
    const series = this.#series(name, "histogram", labels)
    series.value++
    series.sum += seconds
    const at = bucketBounds.findIndex((bound) => seconds <= bound)
    if (at >= 0) series.buckets[at]!++
  }

  onCollect(collect: () => void): void {
    this.#collectors.push(collect)
  }

  declareTable(table: Table): void {
    this.#tables.push(table)
  }

  /** All of it in one go, for sets that are known to be small. */
  render(rowsMax = Infinity): string {
    return Array.from(this.slices(rowsMax)).join("")
  }

  /** The text in pieces, none of which takes long; some are empty. At most `rowsMax` rows of each table have series. */
  *slices(rowsMax: number): Generator<string> {
    for (const collect of this.#collectors) collect()
    for (const [name, { kind, help, series }] of this.#families) {
      let text = head(name, kind, help)
      for (const [labels, one] of series) {
        text += kind === "histogram" ? renderHistogram(name, labels, one) : line(name, labels, one.value)
      }
      yield text
    }
    const leftOut = new Map<string, number>()
    for (const table of this.#tables) leftOut.set(table.name, yield* renderTable(table, rowsMax))
    if (leftOut.size === 0) return
    const name = "logbrook_metrics_rows_left_out"
    yield (
      head(name, "gauge", "Rows of a table without series of their own, for which /metrics?series=all asks.") +
        Array.from(leftOut, ([table, rows]) => line(name, `table="${table}"`, rows)).join("")
    )
  }
}

const head = (name: string, kind: Kind, help: string): string => `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`

/** Rows and lines between two turns of the event loop: about a millisecond. */
const rowsPerSlice = 500

/** Tells how many rows have no series. */
function* renderTable({ families, rankedBy, read }: Table, rowsMax: number): Generator<string, number> {
  const largest = new Largest(rowsMax, rankedBy, families.length)
  let i = 0
  for (const row of read()) {
    largest.add(row)
    if (++i % rowsPerSlice === 0) yield ""
  }
  const rows = largest.rows()
  for (const [column, { name, help, labels }] of families.entries()) {
    let text = head(name, "gauge", help)
    for (const [n, row] of rows.entries()) {
      const value = row.values[column]
      if (value !== undefined) text += line(name, rowLabels(labels, row), value)
      if (n % rowsPerSlice !== rowsPerSlice - 1) continue
      yield text
      text = ""
    }
    if (largest.leftOut > 0) {
      const rest = `${name}_rest`
      text += head(rest, "gauge", `The sum of ${name} over the rows without a series.`)
      text += line(rest, "", largest.rest[column]!)
    }
    yield text
  }
  return largest.leftOut
}

const rowLabels = (names: ReadonlyArray<string>, { labels }: Row): string =>
  names.map((name, i) => `${name}="${escapeLabel(String(labels[i]))}"`).join(",")

/** The rows that are largest in one column, and the sums of the others. */
class Largest {
  readonly #rowsMax: number
  readonly #rankedBy: number
  #rows: Array<Row> = []
  leftOut = 0
  /** By column. */
  readonly rest: Array<number>

  constructor(rowsMax: number, rankedBy: number, columns: number) {
    this.#rowsMax = rowsMax
    this.#rankedBy = rankedBy
    this.rest = Array.from({ length: columns }, () => 0)
  }

  add(row: Row): void {
    this.#rows.push(row)
    if (this.#rows.length >= 2 * this.#rowsMax) this.#cut()
  }

  rows(): ReadonlyArray<Row> {
    if (this.#rows.length > this.#rowsMax) this.#cut()
    return this.#rows
  }

  /** Rows of one size stay in the order in which they came, so that series do not change without need. */
  #cut(): void {
    const sizeOf = ({ values }: Row): number => values[this.#rankedBy] ?? -1
    this.#rows.sort((a, b) => sizeOf(b) - sizeOf(a))
    for (const { values } of this.#rows.splice(this.#rowsMax)) {
      this.leftOut++
      for (const [column, value] of values.entries()) this.rest[column]! += value ?? 0
    }
  }
}

const renderHistogram = (
  name: string,
  labels: string,
  { value, buckets, sum }: { value: number; buckets: ReadonlyArray<number>; sum: number }
): string => {
  const prefix = labels && `${labels},`
  let seen = 0
  let text = ""
  bucketBounds.forEach((bound, i) => {
    seen += buckets[i]!
    text += line(`${name}_bucket`, `${prefix}le="${bound}"`, seen)
  })
  text += line(`${name}_bucket`, `${prefix}le="+Inf"`, value)
  return text + line(`${name}_sum`, labels, sum) + line(`${name}_count`, labels, value)
}
