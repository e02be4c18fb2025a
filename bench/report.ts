import { readFileSync } from "node:fs"
import { cpus, release, totalmem } from "node:os"
import { librdkafkaVersion } from "./servers/kcat.ts"
import { mosquittoVersion } from "./servers/mosquitto.ts"
import { isMet, type Bar, type Outcome, type Table } from "./scenarios/Scenario.ts"

const manifest = (name: string): { readonly version: string } =>
  JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8"))

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  readonly mosquitto: string
  readonly aedes: string
  readonly librdkafka: string
}

export const describeMachine = async (): Promise<Machine> => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 1e9),
  kernel: release(),
  node: process.version,
  mosquitto: (await mosquittoVersion()) ?? "not installed",
  aedes: manifest("aedes").version,
  librdkafka: (await librdkafkaVersion()) ?? "kcat is not installed"
})

/** A table of Markdown, aligned for a terminal too. */
export const formatTable = ({ title, columns, rows }: Table): string => {
  const widths = columns.map((column, at) => Math.max(column.length, ...rows.map((row) => row[at]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join(" | ")} |`
  const rule = `|${widths.map((width, at) => (at === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`
  return [`\n${title}\n`, line(columns), rule, ...rows.map(line)].join("\n")
}

const asked = ({ bound }: Bar): string =>
  bound === undefined ? "" : "atLeast" in bound ? `>= ${bound.atLeast}` : `<= ${bound.atMost}`

const shown = (value: number): string => (Number.isFinite(value) ? value.toFixed(value >= 100 ? 0 : 2) : "none")

/** All bars of a run beside what was measured. */
export const formatBars = (outcomes: ReadonlyArray<Outcome>): string =>
  formatTable({
    title: "bars",
    columns: ["what", "measured", "unit", "bar", "met"],
    rows: outcomes
      .flatMap(({ bars }) => bars)
      .map((bar) => [
        bar.what,
        shown(bar.measured),
        bar.unit,
        asked(bar),
        bar.bound === undefined ? "" : isMet(bar) ? "yes" : "NO"
      ])
  })
