import { formatTable } from "../report.ts"
import type { Bench } from "../scenarios/Scenario.ts"
import { median, quantile } from "../stats.ts"
import { buildRef, ownBuild, type Build } from "./build.ts"
import { comparisons, type Reading, type Subject } from "./readings.ts"

/** More than this many times the other build's cost is slower. */
const slowerFrom = 1.1

interface Figure {
  readonly what: string
  readonly unit: string
  readonly theirs: ReadonlyArray<number>
  readonly ours: ReadonlyArray<number>
  /** Of each pair, how many times the other build's cost this one has. */
  readonly ratios: ReadonlyArray<number>
}

type Pair = readonly [theirs: Reading, ours: Reading]

const ratioOf = ([theirs, ours]: Pair): number =>
  ours.better === "lower" ? ours.value / theirs.value : theirs.value / ours.value

export const figureOf = (pairs: ReadonlyArray<Pair>): Figure => ({
  what: pairs[0]![1].what,
  unit: pairs[0]![1].unit,
  theirs: pairs.map(([{ value }]) => value),
  ours: pairs.map(([, { value }]) => value),
  ratios: pairs.map(ratioOf)
})

export const isSlower = ({ ratios }: Figure): boolean => median(ratios) > slowerFrom

/** Slice by slice in turn, the order changing each round; the first round warms up. */
const pairsOf = async (bench: Bench, name: string, theirs: Subject, ours: Subject) => {
  const rounds: Array<ReadonlyArray<Pair>> = []
  for (let round = -1; round < bench.rounds; round++) {
    const isTheirsFirst = round % 2 === 0
    const first = await (isTheirsFirst ? theirs : ours).take(round)
    const second = await (isTheirsFirst ? ours : theirs).take(round)
    const [of, by] = isTheirsFirst ? [first, second] : [second, first]
    if (round < 0) continue
    rounds.push(of.map((reading, at) => [reading, by[at]!]))
    bench.progress(`${name}: pair ${round + 1} of ${bench.rounds}`)
  }
  return rounds
}

const compareOne = async (bench: Bench, name: string, other: Build): Promise<ReadonlyArray<Figure>> => {
  const comparison = comparisons.get(name)!
  const theirs = await comparison(bench, other)
  try {
    const ours = await comparison(bench, ownBuild)
    try {
      const rounds = await pairsOf(bench, name, theirs, ours)
      return rounds[0]!.map((_, at) => figureOf(rounds.map((pairs) => pairs[at]!)))
    } finally {
      await ours.close()
    }
  } finally {
    await theirs.close()
  }
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3))

const report = (figures: ReadonlyArray<Figure>, ref: string): string =>
  formatTable({
    title: `this checkout's cost beside that of ${ref}: above 1 is slower or larger`,
    columns: ["what", ref, "this", "unit", "× (range)", ""],
    rows: figures.map((figure) => [
      figure.what,
      shown(median(figure.theirs)),
      shown(median(figure.ours)),
      figure.unit,
      `${median(figure.ratios).toFixed(2)} (${quantile(figure.ratios, 0).toFixed(2)}-${quantile(figure.ratios, 1).toFixed(2)})`,
      isSlower(figure) ? "SLOWER" : ""
    ])
  })

/** This checkout's build beside that of another commit; tells whether anything got slower by more than 10 %. */
export const compare = async (bench: Bench, ref: string, names: ReadonlyArray<string>): Promise<boolean> => {
  bench.progress(`building ${ref}`)
  const other = await buildRef(ref)
  if (!other.hasSameLibraries) bench.progress(`${ref} was built with this checkout's libraries, its own are others`)
  const figures: Array<Figure> = []
  try {
    for (const name of names) figures.push(...(await compareOne(bench, name, other)))
  } finally {
    await other.remove()
  }
  console.log(report(figures, other.name))
  const slower = figures.filter(isSlower)
  console.log(
    `\n${slower.length === 0 ? "nothing" : slower.map(({ what }) => what).join("; ")} got slower by more than 10 %`
  )
  return slower.length > 0
}
