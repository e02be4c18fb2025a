/** A curve with the range of what was measured at each place. */
export interface Chart {
  /** Of the file, without its ending. */
  readonly name: string
  readonly title: string
  readonly xLabel: string
  readonly yLabel: string
  /** Ascending in `x`, which is drawn by its logarithm; 0 stands a decade before the first other. */
  readonly points: ReadonlyArray<Point>
}

export interface Point {
  readonly x: number
  readonly y: number
  readonly low: number
  readonly high: number
}

const width = 640
const height = 340
const left = 56
const right = 16
const top = 68
const bottom = 56
/** Between the frame and the first and last place, whose figures stand above them. */
const inset = 28
const ticksMax = 6

/** Readable on white and on black; the lines keep their colour. */
const style = `text{font:13px system-ui,sans-serif;fill:#57606a}.title{font-weight:600}.value{font-size:12px}
.grid{stroke:#8c959f;stroke-opacity:.3}.range{stroke:#2f81f7;stroke-opacity:.5;stroke-width:5}
.line{fill:none;stroke:#2f81f7;stroke-width:2}.point{fill:#2f81f7}
@media(prefers-color-scheme:dark){text{fill:#9da7b3}}`

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

/** `0.25`, `1,024`, `10 k`, `2.5 M`: for an axis. */
export const shortNumber = (value: number): string => {
  if (value < 10_000) return value.toLocaleString("en-US", { maximumSignificantDigits: 4 })
  const [divisor, unit] = value >= 1e6 ? [1e6, "M"] : [1e3, "k"]
  return `${(value / divisor).toLocaleString("en-US", { maximumSignificantDigits: 4 })} ${unit}`
}

/** The smallest step of 1, 2 or 5 times a power of ten with which no more than `ticksMax` reach `max`. */
const stepFor = (max: number): number => {
  const power = 10 ** Math.floor(Math.log10(max / ticksMax))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => max / step <= ticksMax) ?? 10 * power
}

const text = (x: number, y: number, what: string, attributes = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(what)}</text>`

const middle = 'text-anchor="middle"'

/** An SVG document; throws for a chart without points. */
export const chartSvg = ({ title, xLabel, yLabel, points }: Chart): string => {
  if (points.length === 0) throw new Error(`${title}: nothing to draw`)
  const positives = points.map(({ x }) => x).filter((x) => x > 0)
  const decades = (x: number): number => (x > 0 ? Math.log10(x) : Math.log10(positives[0] ?? 10) - 1)
  const from = decades(points[0]!.x)
  const span = decades(points.at(-1)!.x) - from || 1
  const step = stepFor(Math.max(...points.map(({ high }) => high)) || 1)
  const yMax = Math.ceil((Math.max(...points.map(({ high }) => high)) || 1) / step) * step
  const xOf = (x: number): number => left + inset + ((decades(x) - from) / span) * (width - left - right - 2 * inset)
  const yOf = (y: number): number => height - bottom - (y / yMax) * (height - top - bottom)
  const grid = Array.from({ length: Math.round(yMax / step) + 1 }, (_, at) => at * step).map((value) => {
    const y = yOf(value)
    const line = `<line class="grid" x1="${left}" x2="${width - right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>`
    return line + text(left - 8, y + 4, shortNumber(Number(value.toPrecision(6))), 'text-anchor="end"')
  })
  const path = points.map(({ x, y }, at) => `${at === 0 ? "M" : "L"}${xOf(x).toFixed(1)} ${yOf(y).toFixed(1)}`).join("")
  const marks = points.map(({ x, y, low, high }) => {
    const at = xOf(x)
    const range = `<line class="range" x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${yOf(low).toFixed(1)}" y2="${yOf(high).toFixed(1)}"/>`
    const point = `<circle class="point" cx="${at.toFixed(1)}" cy="${yOf(y).toFixed(1)}" r="4"/>`
    const value = text(at, yOf(high) - 9, String(Number(y.toPrecision(3))), `class="value" ${middle}`)
    return range + point + value + text(at, height - bottom + 20, shortNumber(x), middle)
  })
  const labels = [
    text(16, 22, title, 'class="title"'),
    text(16, 42, yLabel),
    text((left + width - right) / 2, height - 12, xLabel, middle)
  ]
  const body = [...grid, `<path class="line" d="${path}"/>`, ...marks, ...labels].join("\n")
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img">`
  return `${head}\n<title>${escaped(title)}</title>\n<style>${style}</style>\n${body}\n</svg>\n`
}
