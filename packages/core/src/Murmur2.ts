const m = 0x5bd1e995

/** Kafka's 32-bit murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), signed as Java returns it. */
export const murmur2 = (bytes: Uint8Array): number => {
  const length = bytes.length
  const whole = length & ~3
  let h = 0x9747b28c ^ length
  for (let at = 0; at < whole; at += 4) {
    let k = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    k = Math.imul(k, m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const rest = length - whole
  if (rest > 2) h ^= bytes[whole + 2]! << 16
  if (rest > 1) h ^= bytes[whole + 1]! << 8
  if (rest > 0) h = Math.imul(h ^ bytes[whole]!, m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}

/** The partition of a key among `partitions`, as Kafka's Java producer chooses it. */
export const partitionOf = (key: Uint8Array, partitions: number): number => (murmur2(key) & 0x7fffffff) % partitions
