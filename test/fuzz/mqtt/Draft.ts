import type { Random } from "../../simulation/Random.ts"

/** A packet that is being written: its body, and where each of its fields begins, so that mutations can hit them. */
export class Draft {
  /** Type and flags. */
  first: number
  readonly body: Array<number> = []
  readonly fields: Array<number> = []

  constructor(first: number) {
    this.first = first
  }

  byte(value: number): this {
    this.fields.push(this.body.length)
    this.body.push(value & 0xff)
    return this
  }

  uint16(value: number): this {
    this.fields.push(this.body.length)
    this.body.push((value >>> 8) & 0xff, value & 0xff)
    return this
  }

  uint32(value: number): this {
    this.fields.push(this.body.length)
    this.body.push((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
    return this
  }

  /** Up to 268,435,455. */
  variable(value: number): this {
    this.fields.push(this.body.length)
    pushVariable(this.body, value)
    return this
  }

  bytes(value: ReadonlyArray<number> | Uint8Array): this {
    this.fields.push(this.body.length)
    for (const byte of value) this.body.push(byte)
    return this
  }

  /** With its length before it, as strings and binary data have it. */
  sized(value: Uint8Array): this {
    return this.uint16(value.length).bytes(value)
  }

  /** Behind its own length, as properties are. */
  section(part: Draft): this {
    this.variable(part.body.length)
    const start = this.body.length
    for (const field of part.fields) this.fields.push(start + field)
    for (const byte of part.body) this.body.push(byte)
    return this
  }

  /** Where a mutation begins: mostly at a field. */
  place(random: Random): number {
    if (this.fields.length > 0 && random.chance(0.7)) return random.pick(this.fields)
    return random.between(0, this.body.length)
  }
}

export const pushVariable = (to: Array<number>, value: number): void => {
  let rest = value
  do {
    to.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>>= 7
  } while (rest > 0)
}
