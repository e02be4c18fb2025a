/** By how much a figure has grown from the first sample to the last, by the line of least squares through all of them. */
export const growthOf = (samples: ReadonlyArray<{ readonly atMs: number; readonly value: number }>): number => {
  const count = samples.length
  if (count < 2) return 0
  const meanAt = samples.reduce((sum, { atMs }) => sum + atMs, 0) / count
  const mean = samples.reduce((sum, { value }) => sum + value, 0) / count
  let covariance = 0
  let variance = 0
  for (const { atMs, value } of samples) {
    covariance += (atMs - meanAt) * (value - mean)
    variance += (atMs - meanAt) ** 2
  }
  return variance === 0 ? 0 : (covariance / variance) * (samples.at(-1)!.atMs - samples[0]!.atMs)
}
