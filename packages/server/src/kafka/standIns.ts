/** Bytes that the codec copies are cheap below this; from it on it passes them on by reference. */
const referenceBytesMin = 1024

/** Never written nor read, so that the system never gives it memory. */
let nothing = new ArrayBuffer(1024 * 1024)

const noBytes = new Uint8Array(0)

/**
 * One value for a partition's batches in a response: the codec takes one, batches are many, and copying them together
 * would cost as much as reading them. A stand-in of their length is encoded and then replaced, found by identity.
 */
export const standInFor = (
  batches: ReadonlyArray<Uint8Array>,
  standIns: Map<Uint8Array, ReadonlyArray<Uint8Array>>
): Uint8Array => {
  if (batches.length <= 1) return batches[0] ?? noBytes
  const length = batches.reduce((sum, batch) => sum + batch.length, 0)
  if (length < referenceBytesMin) return Buffer.concat(batches)
  if (nothing.byteLength < length) nothing = new ArrayBuffer(length)
  const standIn = new Uint8Array(nothing, 0, length)
  standIns.set(standIn, batches)
  return standIn
}
