import { includes } from "./Shape.ts"
import type { FieldShape, Shape, StructShape } from "./Shape.ts"
import { WireError, Writer } from "./Wire.ts"
import type { Reader } from "./Wire.ts"

/**
 * The reader and writer of a message in one version: everything that depends on the version is decided when the
 * closures are made.
 */
export interface Version {
  readonly version: number
  readonly flexible: boolean
}

export type Read = (r: Reader) => unknown
export type Write = (w: Writer, value: unknown) => void

type Values = Record<string, unknown>

function isNullable(shape: Shape, at: Version): boolean {
  return "nullable" in shape && shape.nullable !== undefined && includes(shape.nullable, at.version)
}

export function compileReader(shape: Shape, at: Version): Read {
  switch (shape.type) {
    case "bool":
      return (r) => r.bool()
    case "int8":
      return (r) => r.int8()
    case "int16":
      return (r) => r.int16()
    case "uint16":
      return (r) => r.uint16()
    case "int32":
      return (r) => r.int32()
    case "uint32":
      return (r) => r.uint32()
    case "int64":
      return (r) => r.int64()
    case "float64":
      return (r) => r.float64()
    case "uuid":
      return (r) => r.uuid()
    case "string":
      return stringReader(at.flexible, isNullable(shape, at))
    case "bytes":
    case "records":
      return bytesReader(at.flexible, isNullable(shape, at), shape.type === "records")
    case "array":
      return arrayReader(shape.element, at, isNullable(shape, at))
    case "struct":
      return isNullable(shape, at) ? nullableStructReader(shape, at) : structReader(shape, at)
  }
}

/** The length before a variable-size value; null is -1, or 0 for a compact N + 1. */
function readLength(r: Reader, flexible: boolean): number {
  return flexible ? r.uvarint() - 1 : r.int32()
}

function rejectNull(): never {
  throw new WireError("null", "null in a field that is not nullable in this version")
}

function stringReader(flexible: boolean, nullable: boolean): Read {
  return (r) => {
    const length = flexible ? r.uvarint() - 1 : r.int16()
    return length === -1 ? (nullable ? null : rejectNull()) : r.utf8(length)
  }
}

function bytesReader(flexible: boolean, nullable: boolean, asView: boolean): Read {
  return (r) => {
    const length = readLength(r, flexible)
    if (length === -1) return nullable ? null : rejectNull()
    return asView ? r.view(length) : r.copy(length)
  }
}

function arrayReader(element: Shape, at: Version, nullable: boolean): Read {
  const read = compileReader(element, at)
  const bytesMin = minBytes(element, at)
  return (r) => {
    const length = readLength(r, at.flexible)
    if (length === -1) return nullable ? null : rejectNull()
    const count = r.elements(length, bytesMin)
    const out: Array<unknown> = []
    for (let i = 0; i < count; i++) out.push(read(r))
    return out
  }
}

/** The fewest bytes that a value can take, so that a lying array length fails before anything is allocated. */
function minBytes(shape: Shape, at: Version): number {
  switch (shape.type) {
    case "bool":
    case "int8":
      return 1
    case "int16":
    case "uint16":
      return 2
    case "int32":
    case "uint32":
      return 4
    case "int64":
    case "float64":
      return 8
    case "uuid":
      return 16
    case "string":
      return at.flexible ? 1 : 2
    case "bytes":
    case "records":
    case "array":
      return at.flexible ? 1 : 4
    case "struct": {
      if (isNullable(shape, at)) return 1
      let sum = at.flexible ? 1 : 0
      for (const [, field] of positional(shape, at)) sum += minBytes(field.shape, at)
      return sum
    }
  }
}

function positional(shape: StructShape, at: Version): Array<[string, FieldShape]> {
  return [...shape.fields].filter(([, field]) => field.tag === undefined && includes(field.versions, at.version))
}

/** Tag and field, in the order in which tags are written (KIP-482). */
function tagged(shape: StructShape, at: Version): Array<[string, FieldShape, number]> {
  const out: Array<[string, FieldShape, number]> = []
  for (const [name, field] of shape.fields) {
    if (field.tag !== undefined && includes(field.versions, at.version)) out.push([name, field, field.tag])
  }
  return out.sort((a, b) => a[2] - b[2])
}

function nullableStructReader(shape: StructShape, at: Version): Read {
  const read = structReader(shape, at)
  return (r) => (r.int8() < 0 ? null : read(r))
}

function structReader(shape: StructShape, at: Version): Read {
  const fields = positional(shape, at)
  const names = fields.map(([name]) => name)
  const reads = fields.map(([, field]) => compileReader(field.shape, at))
  const tags = new Map<number, readonly [name: string, read: Read]>()
  for (const [name, field, tag] of tagged(shape, at)) tags.set(tag, [name, compileReader(field.shape, at)])
  // A copy of one template gives every value of a struct the same hidden class, with all fields in declared order.
  const template: Values = {}
  for (const [name, field] of shape.fields) template[name] = field.fallback
  const count = names.length
  return (r) => {
    const out: Values = { ...template }
    for (let i = 0; i < count; i++) out[names[i] as string] = (reads[i] as Read)(r)
    if (at.flexible) readTags(r, out, tags)
    return out
  }
}

function readTags(r: Reader, out: Values, tags: ReadonlyMap<number, readonly [name: string, read: Read]>): void {
  for (let left = r.uvarint(); left > 0; left--) {
    const tag = r.uvarint()
    const size = r.uvarint()
    const known = tags.get(tag)
    if (known === undefined) {
      r.skip(size)
      continue
    }
    const end = r.offset + size
    out[known[0]] = known[1](r)
    if (r.offset !== end) throw new WireError("trailing", `tagged field ${tag} is not of its declared ${size} bytes`)
  }
}

export function compileWriter(shape: Shape, at: Version): Write {
  switch (shape.type) {
    case "bool":
      return (w, value) => w.bool(value as boolean)
    case "int8":
      return (w, value) => w.int8(value as number)
    case "int16":
      return (w, value) => w.int16(value as number)
    case "uint16":
      return (w, value) => w.uint16(value as number)
    case "int32":
      return (w, value) => w.int32(value as number)
    case "uint32":
      return (w, value) => w.uint32(value as number)
    case "int64":
      return (w, value) => w.int64(value as number)
    case "float64":
      return (w, value) => w.float64(value as number)
    case "uuid":
      return (w, value) => w.uuid(value as string)
    case "string":
      return stringWriter(at.flexible, isNullable(shape, at))
    case "bytes":
      return bytesWriter(at.flexible, isNullable(shape, at))
    case "records":
      return recordsWriter(at.flexible, isNullable(shape, at))
    case "array":
      return arrayWriter(shape.element, at, isNullable(shape, at))
    case "struct":
      return isNullable(shape, at) ? nullableStructWriter(shape, at) : structWriter(shape, at)
  }
}

function writeLength(w: Writer, length: number, flexible: boolean): void {
  if (flexible) w.uvarint(length + 1)
  else w.int32(length)
}

function stringWriter(flexible: boolean, nullable: boolean): Write {
  return (w, value) => {
    if (value !== null) return w.string(value as string, flexible)
    if (!nullable) rejectNull()
    if (flexible) w.uvarint(0)
    else w.int16(-1)
  }
}

function bytesWriter(flexible: boolean, nullable: boolean): Write {
  return (w, value) => {
    if (value === null && !nullable) rejectNull()
    const bytes = value as Uint8Array | null
    writeLength(w, bytes === null ? -1 : bytes.length, flexible)
    if (bytes !== null) w.raw(bytes)
  }
}

function recordsWriter(flexible: boolean, nullable: boolean): Write {
  const writeOne = bytesWriter(flexible, nullable)
  return (w, value) => {
    if (!Array.isArray(value)) return writeOne(w, value)
    const pieces = value as ReadonlyArray<Uint8Array>
    let length = 0
    for (const piece of pieces) length += piece.length
    writeLength(w, length, flexible)
    for (const piece of pieces) w.raw(piece)
  }
}

function arrayWriter(element: Shape, at: Version, nullable: boolean): Write {
  const write = compileWriter(element, at)
  return (w, value) => {
    if (value === null && !nullable) rejectNull()
    const elements = value as ReadonlyArray<unknown> | null
    writeLength(w, elements === null ? -1 : elements.length, at.flexible)
    if (elements !== null) for (const one of elements) write(w, one)
  }
}

function nullableStructWriter(shape: StructShape, at: Version): Write {
  const write = structWriter(shape, at)
  return (w, value) => {
    w.int8(value === null ? -1 : 1)
    if (value !== null) write(w, value)
  }
}

function structWriter(shape: StructShape, at: Version): Write {
  const fields = positional(shape, at)
  const names = fields.map(([name]) => name)
  const fallbacks = fields.map(([, field]) => field.fallback)
  const writes = fields.map(([, field]) => compileWriter(field.shape, at))
  const tags = tagged(shape, at).map(([name, field, tag]) => {
    return { name, tag, fallback: field.fallback, write: compileWriter(field.shape, at) }
  })
  const count = names.length
  return (w, value) => {
    const values = value as Values
    for (let i = 0; i < count; i++) {
      const given = values[names[i] as string]
      const write = writes[i] as Write
      write(w, given === undefined ? fallbacks[i] : given)
    }
    if (at.flexible) writeTags(w, values, tags)
  }
}

interface TagWriter {
  readonly name: string
  readonly tag: number
  readonly fallback: unknown
  readonly write: Write
}

/** A tagged field at its default is left out, as Kafka does. */
function writeTags(w: Writer, values: Values, tags: ReadonlyArray<TagWriter>): void {
  if (tags.length === 0) return w.uvarint(0)
  const present = tags.filter(({ name, fallback }) => values[name] !== undefined && !same(values[name], fallback))
  w.uvarint(present.length)
  for (const { name, tag, write } of present) {
    const piece = new Writer(256)
    write(piece, values[name])
    w.uvarint(tag)
    w.uvarint(piece.length)
    w.append(piece)
  }
}

/** Whether a value equals a default: scalars, null, empty arrays and structs of those. A left-out field is at its own default. */
function same(value: unknown, fallback: unknown): boolean {
  if (value === fallback) return true
  if (typeof value !== "object" || value === null || typeof fallback !== "object" || fallback === null) return false
  if (Array.isArray(value)) return Array.isArray(fallback) && value.length === 0 && fallback.length === 0
  for (const [name, expected] of Object.entries(fallback)) {
    const given = (value as Values)[name]
    if (given !== undefined && !same(given, expected)) return false
  }
  return true
}
