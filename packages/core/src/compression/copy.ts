/** From so many bytes on, a copy by the engine is quicker than one byte after the other. */
const byEngineBytesMin = 40

/** A copy that overlaps itself takes a call for each doubling, so it must be longer. */
const byDoublingBytesMin = 128

/** Copies bytes of `from` to `out`. Both ranges are there. */
export const copyLiterals = (from: Uint8Array, at: number, out: Uint8Array, to: number, length: number): void => {
  if (length >= byEngineBytesMin) out.set(from.subarray(at, at + length), to)
  else for (let i = 0; i < length; i++) out[to + i] = from[at + i]!
}

/**
 * Repeats what stands `distance` bytes before `to`, as LZ77 does: what has been copied may be copied again. Both ranges are
 * there.
 */
export const copyMatch = (out: Uint8Array, to: number, distance: number, length: number): void => {
  const from = to - distance
  if (length < byEngineBytesMin || (distance < length && length < byDoublingBytesMin)) {
    for (let i = 0; i < length; i++) out[to + i] = out[from + i]!
    return
  }
  // Each round doubles what is there to be copied.
  for (let done = 0; done < length;) {
    const piece = Math.min(length - done, distance + done)
    out.copyWithin(to + done, from, from + piece)
    done += piece
  }
}
