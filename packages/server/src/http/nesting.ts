const [quote, backslash] = [0x22, 0x5c]
const openings: ReadonlySet<number> = new Set([0x5b, 0x7b])
const closings: ReadonlySet<number> = new Set([0x5d, 0x7d])

/** Whether the arrays and objects of a JSON text lie more than `levels` within each other; the text may be no JSON. */
export const isNestedDeeper = (json: Uint8Array, levels: number): boolean => {
  let depth = 0
  let isInText = false
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!
    if (isInText) {
      if (byte === backslash) i++
      else if (byte === quote) isInText = false
    } else if (byte === quote) isInText = true
    else if (closings.has(byte)) depth--
    else if (openings.has(byte) && ++depth > levels) return true
  }
  return false
}
