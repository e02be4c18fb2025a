import { describe, expect, it } from "vitest"
import { MetricsPage } from "../src/http/MetricsPage.ts"
import { Metrics, type Row } from "../src/Metrics.ts"

const families = [
  { name: "offset", help: "An offset.", labels: ["topic", "partition"] },
  { name: "bytes", help: "Bytes.", labels: ["stream", "partition"] }
]

/** A table of `t/0`, `t/1`, … with these bytes, whose offsets are twice as large. */
const tableOf = (bytes: ReadonlyArray<number | undefined>): Metrics => {
  const metrics = new Metrics()
  const rows = bytes.map((each, i): Row => ({
    labels: ["t", i],
    values: [each === undefined ? undefined : 2 * each, each]
  }))
  metrics.declareTable({ name: "partitions", families, rankedBy: 1, read: () => rows })
  return metrics
}

const seriesOf = (text: string): ReadonlyArray<string> =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))

describe("a table of metrics", () => {
  it("gives series to its largest rows, and the sums of the others under names of their own", () => {
    const text = tableOf([5, 1, 9, 7, undefined, 2]).render(2)
    expect(seriesOf(text)).toEqual([
      'offset{topic="t",partition="2"} 18',
      'offset{topic="t",partition="3"} 14',
      "offset_rest 16",
      'bytes{stream="t",partition="2"} 9',
      'bytes{stream="t",partition="3"} 7',
      "bytes_rest 8",
      'logbrook_metrics_rows_left_out{table="partitions"} 4'
    ])
    expect(text).toContain("# TYPE offset_rest gauge\n")
  })

  it("gives series to all that fit, in their order, and to all if asked", () => {
    const all = [
      'offset{topic="t",partition="0"} 2',
      'offset{topic="t",partition="1"} 4',
      'bytes{stream="t",partition="0"} 1',
      'bytes{stream="t",partition="1"} 2',
      'logbrook_metrics_rows_left_out{table="partitions"} 0'
    ]
    expect(seriesOf(tableOf([1, undefined, 2]).render(3))).toHaveLength(5)
    expect(seriesOf(tableOf([1, 2]).render(2))).toEqual(all)
    expect(seriesOf(tableOf([1, 2]).render())).toEqual(all)
  })

  it("keeps rows of one size where they are, however many there are", () => {
    const shown = seriesOf(tableOf(Array.from({ length: 5000 }, () => 0)).render(3))
    expect(shown.slice(0, 3)).toEqual([0, 1, 2].map((i) => `offset{topic="t",partition="${i}"} 0`))
  })

  it("is rendered in slices, between which the event loop turns, one page after the other", async () => {
    const metrics = tableOf(Array.from({ length: 10_000 }, (_, i) => i))
    for (const text of metrics.slices(Infinity)) expect(text.split("\n").length).toBeLessThan(510)
    const page = new MetricsPage(metrics, 10)
    let turns = 0
    let isCounting = true
    const count = (): void => {
      turns++
      if (isCounting) setImmediate(count)
    }
    setImmediate(count)
    const order: Array<string> = []
    const [all, largest] = await Promise.all([
      page.render(true).finally(() => order.push(`all at ${turns >= 60}`)),
      page.render(false).finally(() => order.push(`largest at ${turns >= 80}`))
    ])
    isCounting = false
    expect(order).toEqual(["all at true", "largest at true"])
    expect(seriesOf(Buffer.concat([...all]).toString())).toHaveLength(20_001)
    expect(seriesOf(Buffer.concat([...largest]).toString())).toHaveLength(23)
  })
})
