/** DER (ITU-T X.690) of what a certificate is made of: each function gives a whole tag, length and value. */

const lengthOf = (bytes: number): ReadonlyArray<number> => {
  if (bytes < 0x80) return [bytes]
  const digits = Buffer.from(bytes.toString(16).padStart(2 * Math.ceil(bytes.toString(16).length / 2), "0"), "hex")
  return [0x80 + digits.length, ...digits]
}

const value = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, ...lengthOf(content.length)]), content])
}

export const sequence = (...parts: ReadonlyArray<Uint8Array>): Buffer => value(0x30, ...parts)
export const set = (...parts: ReadonlyArray<Uint8Array>): Buffer => value(0x31, ...parts)
export const octets = (bytes: Uint8Array): Buffer => value(0x04, bytes)
export const utf8 = (text: string): Buffer => value(0x0c, Buffer.from(text))
export const truth = (is: boolean): Buffer => value(0x01, Buffer.from([is ? 0xff : 0]))
/** `[TAG] EXPLICIT`, or IMPLICIT of what has parts. */
export const tagged = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => value(0xa0 + tag, ...parts)
/** `[TAG] IMPLICIT` of what has none. */
export const taggedBytes = (tag: number, bytes: Uint8Array): Buffer => value(0x80 + tag, bytes)

/** A whole number that is not negative, by its bytes. */
export const integer = (bytes: Uint8Array): Buffer =>
  bytes[0]! < 0x80 ? value(0x02, bytes) : value(0x02, Buffer.from([0]), bytes)

/** `unused`: bits at the end that are none of it. */
export const bits = (bytes: Uint8Array, unused = 0): Buffer => value(0x03, Buffer.from([unused]), bytes)

const base128 = (number: number): ReadonlyArray<number> => {
  const digits = [number & 0x7f]
  for (let left = number >>> 7; left > 0; left >>>= 7) digits.unshift(0x80 | (left & 0x7f))
  return digits
}

/** `1.2.840.10045.4.3.2` */
export const oid = (dotted: string): Buffer => {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number)
  return value(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** RFC 5280, 4.1.2.5: UTCTime until 2049, GeneralizedTime from then on. */
export const time = (ms: number): Buffer => {
  const date = new Date(ms)
  const text = `${date.toISOString().replaceAll(/[-:T]|\.\d+Z/g, "")}Z`
  return date.getUTCFullYear() < 2050 ? value(0x17, Buffer.from(text.slice(2))) : value(0x18, Buffer.from(text))
}
