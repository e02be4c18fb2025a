/** A client's column in a table of features. */
export interface Column {
  readonly name: string
  /** The library's, as its program tells it. */
  readonly release: string
  /** What each feature's cell says. */
  readonly cells: Readonly<Record<string, string>>
  /** Why a feature was not run: the library does not have it. */
  readonly lacks: Readonly<Record<string, string>>
  /** What else is to be said of the library. */
  readonly notes: ReadonlyArray<string>
}

const cellOf = ({ cells, lacks }: Column, feature: string): string =>
  lacks[feature] === undefined ? (cells[feature] ?? "fails") : "–"

const rowOf = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const sentence = (text: string): string => (text.endsWith(".") ? text : `${text}.`)

const remarksOf = ({ name, lacks, notes }: Column): ReadonlyArray<string> => [
  ...Object.entries(lacks).map(([feature, why]) => `- ${name}, ${feature}: ${sentence(why)}`),
  ...notes.map((note) => `- ${name}: ${sentence(note)}`)
]

/** The table of clients and features, and below it what is a library's own: Markdown. */
export const matrixOf = (features: ReadonlyArray<string>, columns: ReadonlyArray<Column>): ReadonlyArray<string> => [
  rowOf(["Feature", ...columns.map(({ name, release }) => `${name} ${release}`)]),
  rowOf(["---", ...columns.map(() => "---")]),
  ...features.map((feature) => rowOf([feature, ...columns.map((column) => cellOf(column, feature))])),
  "",
  "## What is a library's own",
  ...columns.flatMap(remarksOf)
]
