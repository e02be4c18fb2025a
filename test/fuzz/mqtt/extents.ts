import type { Conversed } from "./Batch.ts"
import type { Extent } from "./comparison.ts"

/** How many conversations were compared how far: all, and those in which something was delivered. */
export type Extents = Readonly<Record<"all" | "delivering", Record<Extent, number>>>

export const noExtents = (): Extents => ({
  all: { full: 0, end: 0, open: 0, ids: 0, none: 0 },
  delivering: { full: 0, end: 0, open: 0, ids: 0, none: 0 }
})

export const addTo = ({ all, delivering }: Extents, { extent, delivers }: Conversed): void => {
  all[extent]++
  if (delivers) delivering[extent]++
}

export const sumOfExtents = (each: ReadonlyArray<Extents>): Extents => {
  const sum = noExtents()
  for (const extents of each) {
    for (const kind of ["all", "delivering"] as const) {
      for (const extent of Object.keys(sum[kind]) as Array<Extent>) sum[kind][extent] += extents[kind][extent]
    }
  }
  return sum
}

const countOf = (counts: Record<Extent, number>): number => Object.values(counts).reduce((sum, count) => sum + count, 0)

/** Of fewer the shares tell nothing. */
const judgedMin = 10_000
/** Of all. Measured over 15,000 conversations of seed 2: 0.84. */
const fullMin = 0.78
/** Of those with deliveries: in full, there 0.098; and in full or but for what an end may lose, there 0.57. */
const fullDeliveringMin = 0.06
const boundDeliveringMin = 0.5

/** With less than this compared, it says little that nothing was found. */
export const areEnough = ({ all, delivering }: Extents): boolean => {
  const [count, countDelivering] = [countOf(all), countOf(delivering)]
  if (count < judgedMin) return true
  return (
    all.full >= fullMin * count &&
    delivering.full >= fullDeliveringMin * countDelivering &&
    delivering.full + delivering.end >= boundDeliveringMin * countDelivering
  )
}

const line = (counts: Record<Extent, number>): string =>
  `${counts.full} in full, ${counts.end} but for what an end may lose, ${counts.open} but for full windows and shared subscriptions, ` +
  `${counts.ids} but for acknowledgements of other packet ids, ${counts.none} not at all`

export const told = ({ all, delivering }: Extents): string =>
  `compared: ${line(all)}\nof these ${countOf(delivering)} with deliveries: ${line(delivering)}`
