/**
 * A segment's file:
 *
 *     seg-00000007.mdb               as it was written, revision 0
 *     seg-00000007.runs.mdb          settled, revision 1
 *     seg-00000007.runs-2.mdb        rewritten, revisions 2, 3, ...
 *     seg-00000007-00000009.runs-3.mdb   what was 7, 8 and 9, merged; its revision is above that of 7
 */
export interface SegmentName {
  readonly name: string
  readonly number: number
  /** The same as `number`, but for merged segments. */
  readonly lastNumber: number
  readonly revision: number
}

const pattern = /^seg-(\d{8,})(?:-(\d{8,}))?(\.runs(?:-([1-9]\d{0,8}))?)?\.mdb$/
const digits = (number: number): string => String(number).padStart(8, "0")

export const segmentName = (number: number, lastNumber = number, revision = 0): SegmentName => {
  const numbers = lastNumber === number ? digits(number) : `${digits(number)}-${digits(lastNumber)}`
  const suffix = revision === 0 ? "" : revision === 1 ? ".runs" : `.runs-${revision}`
  return { name: `seg-${numbers}${suffix}.mdb`, number, lastNumber, revision }
}

/** Undefined for a name that is no segment's. */
export const parseSegmentName = (name: string): SegmentName | undefined => {
  const match = pattern.exec(name)
  if (match === null) return undefined
  const number = Number(match[1])
  const revision = match[3] === undefined ? 0 : Number(match[4] ?? 1)
  const parsed = segmentName(number, Number(match[2] ?? number), revision)
  // Nothing has two names: a name that is spelt otherwise is foreign.
  return parsed.name === name && parsed.lastNumber >= number ? parsed : undefined
}

export interface Chain {
  /** Those that count, in the order of the journal. */
  readonly live: ReadonlyArray<SegmentName>
  /** A file that counts holds what these held: a crash came before they were removed, or a server is about to. */
  readonly superseded: ReadonlyArray<SegmentName>
}

/**
 * Tells which of a directory's files count: where a merged file is, none of those that it was made of; else the
 * highest revision of each number. A file has such a name only once it is complete.
 */
export const chainOf = (names: Iterable<string>): Chain => {
  const found = Array.from(names).flatMap((name) => parseSegmentName(name) ?? [])
  found.sort((a, b) => a.number - b.number || b.lastNumber - a.lastNumber || b.revision - a.revision)
  const live: Array<SegmentName> = []
  const superseded: Array<SegmentName> = []
  for (const each of found) {
    const isCovered = each.lastNumber <= (live.at(-1)?.lastNumber ?? -1)
    ;(isCovered ? superseded : live).push(each)
  }
  return { live, superseded }
}

/** The file that holds what the file of this name holds, or held; undefined if it is gone. */
export const holderOf = (names: Iterable<string>, name: string): SegmentName | undefined => {
  const wanted = parseSegmentName(name)
  if (wanted === undefined) return undefined
  return chainOf(names).live.find((each) => each.number <= wanted.number && each.lastNumber >= wanted.lastNumber)
}
