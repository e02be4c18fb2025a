const medianOf = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/**
 * By how much a figure has grown from the first sample to the last, by the medians of its first and its last third. Unlike a line
 * through all of them, one large collection of the heap at the beginning does not tilt it.
 */
export const growthOf = (samples: ReadonlyArray<{ readonly value: number }>): number => {
  const third = Math.floor(samples.length / 3)
  if (third === 0) return 0
  const values = samples.map(({ value }) => value)
  // Two thirds of the run lie between their middles.
  return (medianOf(values.slice(-third)) - medianOf(values.slice(0, third))) * 1.5
}
