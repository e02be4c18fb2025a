/** Label values by name; never a client id or a topic. */
export type Labels = Readonly<Record<string, string | number>>

type Kind = "counter" | "gauge" | "histogram"

interface Family {
  readonly kind: Kind
  readonly help: string
  readonly series: Map<string, { value: number; buckets: Array<number>; sum: number }>
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
  counter(name: string, labels: Labels = {}): { add: (n: number) => void } {
    const series = this.#series(name, "counter", labels)
    return {
      add: (n) => {
        series.value += n
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

  /** Forgets a gauge's series, for sets that shrink. */
  clear(name: string): void {
    this.#families.get(name)?.series.clear()
  }

  onCollect(collect: () => void): void {
    this.#collectors.push(collect)
  }

  render(): string {
    for (const collect of this.#collectors) collect()
    let text = ""
    for (const [name, { kind, help, series }] of this.#families) {
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n`
      for (const [labels, one] of series) {
        text += kind === "histogram" ? renderHistogram(name, labels, one) : line(name, labels, one.value)
      }
    }
    return text
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
