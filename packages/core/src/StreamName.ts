/** Why a name cannot be a stream's. */
export type StreamNameReason = "Empty" | "TooLong" | "InvalidCharacter" | "Dots" | "Internal"

/** A name that no stream may have. */
export class InvalidStreamName extends Error {
  readonly _tag = "InvalidStreamName"
  readonly reason: StreamNameReason

  constructor(reason: StreamNameReason, message: string) {
    super(message)
    this.name = "InvalidStreamName"
    this.reason = reason
  }
}

const lengthMax = 249
const legal = /^[a-zA-Z0-9._-]+$/

/**
 * Checks that a name may be a stream's, hence a Kafka topic's: `[a-zA-Z0-9._-]{1,249}`, neither `.` nor `..`, not
 * beginning with `__` (Kafka's internal topics). Throws `InvalidStreamName`, whose message never repeats more than the
 * allowed length.
 */
export const validateStreamName = (name: string): void => {
  if (name.length === 0) throw new InvalidStreamName("Empty", "a stream's name is empty")
  if (name.length > lengthMax) {
    throw new InvalidStreamName("TooLong", `a stream's name has ${name.length} characters, ${lengthMax} are allowed`)
  }
  if (name === "." || name === "..") throw new InvalidStreamName("Dots", `a stream cannot be named "${name}"`)
  if (name.startsWith("__")) throw new InvalidStreamName("Internal", "names that begin with __ are Kafka's own")
  if (!legal.test(name)) {
    throw new InvalidStreamName("InvalidCharacter", "a stream's name may have letters, digits, '.', '_' and '-' only")
  }
}

/** Whether `validateStreamName` accepts the name. */
export const isStreamName = (name: string): boolean =>
  name.length <= lengthMax && legal.test(name) && name !== "." && name !== ".." && !name.startsWith("__")

/**
 * The name with `_` for each `.`: two names for which it is the same cannot both be streams. Kafka's metrics write
 * `.` as `_`, so Kafka refuses `a.b` beside `a_b`, and so would any Kafka that the streams are copied to.
 */
export const withoutDots = (name: string): string => name.replaceAll(".", "_")
