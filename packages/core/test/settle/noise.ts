/** Printable, and does not compress by much; the same for the same seed. */
export const noise = (bytes: number, seed: number): string => {
  let state = Math.imul(seed + 1, 2654435761)
  const next = (): string => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return String.fromCodePoint(33 + Math.floor((state >>> 24) / 3))
  }
  return Array.from({ length: bytes }, next).join("")
}
