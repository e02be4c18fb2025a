import type { ShownRecord } from "./ShownRecord.ts"

/** A part of a record as the bytes that a format writes. */
type Part = (record: ShownRecord) => Uint8Array | string

/** A format that is none, with what is wrong. */
export class FormatError extends Error {}

const noBytes = new Uint8Array(0)

const headerText = ({ headers }: ShownRecord): Uint8Array =>
  Buffer.concat(
    headers.flatMap(([name, value], i) => [
      Buffer.from(`${i > 0 ? "," : ""}${name}=`),
      value === null ? Buffer.from("NULL") : value
    ])
  )

/** As in kcat where it has the letter too; `%v` is also kcat's `%s`. */
const parts: ReadonlyMap<string, Part> = new Map<string, Part>([
  ["t", ({ topic }) => topic],
  ["p", ({ partition }) => String(partition ?? -1)],
  ["o", ({ offset }) => String(offset ?? -1)],
  ["k", ({ key }) => key ?? noBytes],
  ["K", ({ key }) => String(key?.length ?? -1)],
  ["v", ({ value }) => value ?? noBytes],
  ["s", ({ value }) => value ?? noBytes],
  ["S", ({ value }) => String(value?.length ?? -1)],
  ["h", headerText],
  ["T", ({ timestampMs }) => String(timestampMs)],
  ["d", ({ timestampMs }) => (timestampMs < 0 ? "-" : new Date(timestampMs).toISOString())],
  ["%", () => "%"]
])

const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["t", "\t"],
  ["r", "\r"],
  ["0", "\0"],
  ["\\", "\\"]
])

export const formatHelp = `${[...parts.keys()].map((letter) => `%${letter}`).join(" ")}, \\n \\t \\r \\0 \\\\`

/** Parts of a record, and the texts that stand between them. Throws `FormatError`. */
export const compileFormat = (text: string): ReadonlyArray<Part | string> => {
  const found: Array<Part | string> = []
  for (const [, letter, escaped, plain] of text.matchAll(/%(.?)|\\(.?)|([^%\\]+)/gsu)) {
    if (plain !== undefined) found.push(plain)
    else if (letter !== undefined) {
      const part = parts.get(letter)
      if (part === undefined) throw new FormatError(`there is no %${letter}`)
      found.push(part)
    } else {
      const meant = escapes.get(escaped!)
      if (meant === undefined) throw new FormatError(`there is no \\${escaped}`)
      found.push(meant)
    }
  }
  return found
}
