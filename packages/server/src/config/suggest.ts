/** Levenshtein's distance; both texts are short names. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

const lengthMax = 100

/** The name that was probably meant by one that does not exist: at most a third of its letters differ. */
export const suggest = (unknown: string, names: Iterable<string>): string | undefined => {
  if (unknown.length > lengthMax) return undefined
  let best: string | undefined
  let bestDistance = Math.floor(Math.max(unknown.length, 3) / 3) + 1
  for (const name of names) {
    const found = distance(unknown.toLowerCase(), name.toLowerCase())
    if (found < bestDistance) [best, bestDistance] = [name, found]
  }
  return best
}
