import * as fc from "fast-check"
import { includes } from "../../src/kafka/Shape.ts"
import type { FieldShape, Shape, StructShape } from "../../src/kafka/Shape.ts"

const safeInteger = fc.maxSafeInteger()

function integer(type: string): fc.Arbitrary<number> | undefined {
  switch (type) {
    case "int8":
      return fc.integer({ min: -0x80, max: 0x7f })
    case "int16":
      return fc.integer({ min: -0x8000, max: 0x7fff })
    case "uint16":
      return fc.integer({ min: 0, max: 0xffff })
    case "int32":
      return fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
    case "uint32":
      return fc.integer({ min: 0, max: 0xffff_ffff })
    case "int64":
      return safeInteger
    default:
      return undefined
  }
}

const bytes = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  // Both sides of the size from which bytes are passed on by reference.
  { weight: 1, arbitrary: fc.integer({ min: 1000, max: 1100 }).map((length) => new Uint8Array(length).fill(length)) }
)

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 20 }),
  fc.integer({ min: 25, max: 300 }).map((length) => "x".repeat(length))
)

const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((raw) => Buffer.from(raw).toString("base64url"))

function present(shape: Shape, version: number): fc.Arbitrary<unknown> {
  switch (shape.type) {
    case "bool":
      return fc.boolean()
    case "float64":
      return fc.double()
    case "uuid":
      return uuid
    case "string":
      return text
    case "bytes":
    case "records":
      return bytes
    case "array":
      return fc.array(arbitrary(shape.element, version), { maxLength: 4 })
    case "struct":
      return structArbitrary(shape, version)
    default:
      return integer(shape.type) as fc.Arbitrary<number>
  }
}

function fieldArbitrary(field: FieldShape, version: number): fc.Arbitrary<unknown> {
  if (!includes(field.versions, version)) return fc.constant(field.fallback)
  const some = arbitrary(field.shape, version)
  return field.fallback === undefined ? some : fc.oneof(fc.constant(field.fallback), some)
}

function structArbitrary(shape: StructShape, version: number): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(
    Object.fromEntries([...shape.fields].map(([name, field]) => [name, fieldArbitrary(field, version)])),
    { noNullPrototype: true }
  )
}

/** Values that a version can carry; fields that it lacks are at their defaults. */
export function arbitrary(shape: Shape, version: number): fc.Arbitrary<unknown> {
  const some = present(shape, version)
  const isNullable = "nullable" in shape && shape.nullable !== undefined && includes(shape.nullable, version)
  return isNullable ? fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 4, arbitrary: some }) : some
}
