/** `sensors-3` for each partition in an assignment of Kafka's consumer protocol; undefined for bytes that are none. */
export const assignedPartitions = (assignment: Uint8Array): ReadonlyArray<string> | undefined => {
  const view = Buffer.from(assignment.buffer, assignment.byteOffset, assignment.length)
  try {
    const found: Array<string> = []
    let at = 2
    const topics = view.readInt32BE(at)
    at += 4
    for (let i = 0; i < topics; i++) {
      const length = view.readInt16BE(at)
      const topic = view.toString("utf8", at + 2, at + 2 + length)
      at += 2 + length
      const partitions = view.readInt32BE(at)
      at += 4
      for (let j = 0; j < partitions; j++, at += 4) found.push(`${topic}-${view.readInt32BE(at)}`)
    }
    return found
  } catch (error) {
    // Other protocol types (Connect) have other bytes.
    if (error instanceof RangeError) return undefined
    throw error
  }
}
