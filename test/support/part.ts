/**
 * Of a list that is too long for every run, the part `K/N`: the K-th of every N, so that neighbours, which cost alike, are
 * spread over the parts. Everything for "1/1". Throws for what is no such part.
 */
export const partOf = <A>(items: ReadonlyArray<A>, part: string): ReadonlyArray<A> => {
  const [k, n] = /^([1-9]\d*)\/([1-9]\d*)$/.exec(part)?.slice(1).map(Number) ?? []
  if (k === undefined || n === undefined || k > n) throw new Error(`--part takes K/N, as in 2/5, not ${part}`)
  return items.filter((_, i) => i % n === k - 1)
}
