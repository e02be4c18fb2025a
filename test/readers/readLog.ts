/** What a reader is made to do wrong, to see the checks fail. */
export type Wrong = "nothing" | "loses" | "forgets"

/** What a reader was given, by the file that it keeps. */
export interface ReadLog {
  /** How often it has each record, by `PARTITION:OFFSET`. */
  readonly counts: ReadonlyMap<string, number>
  /** Packet ids of QoS 2 that wait for PUBREL. */
  readonly unreleased: ReadonlySet<number>
  /** Records that came behind a later one of their partition, on one connection. */
  readonly late: ReadonlyArray<string>
}

/** `text`: a line for each connection, record (`PACKET-ID PARTITION:OFFSET`; 0 of QoS 1) and PUBREL (`PACKET-ID released`). */
export const readLog = (text: string): ReadLog => {
  const counts = new Map<string, number>()
  const unreleased = new Set<number>()
  const late: Array<string> = []
  let last = new Map<string, number>()
  for (const line of text.split("\n")) {
    const [id = "", what] = line.split(" ")
    if (id === "connected") last = new Map()
    else if (what === "released") unreleased.delete(Number(id))
    else if (what !== undefined) {
      if (id !== "0") unreleased.add(Number(id))
      counts.set(what, (counts.get(what) ?? 0) + 1)
      const [partition, offset] = what.split(":") as [string, string]
      if (Number(offset) <= (last.get(partition) ?? -1)) late.push(what)
      last.set(partition, Number(offset))
    }
  }
  return { counts, unreleased, late }
}
