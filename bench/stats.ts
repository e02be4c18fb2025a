/** 0 for none. */
export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** The nearest rank; 0 for none. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export const thousands = (value: number): string => Math.round(value).toLocaleString("en-US")
