import type { Shape, StructShape } from "./Shape.ts"

type Values = Record<string, unknown>
/** The first error code of a value that is not 0, else 0. */
export type FirstError = (value: unknown) => number

const none = 0

/** The names that Kafka's messages have for it. */
const errorNames = ["errorCode", "partitionErrorCode"]

const ofShape = (shape: Shape): FirstError | undefined => {
  if (shape.type === "array") return ofArray(ofShape(shape.element))
  return shape.type === "struct" ? ofStruct(shape) : undefined
}

const ofArray = (ofElement: FirstError | undefined): FirstError | undefined => {
  if (ofElement === undefined) return undefined
  return (value) => {
    for (const element of (value ?? []) as ReadonlyArray<unknown>) {
      const error = ofElement(element)
      if (error !== none) return error
    }
    return none
  }
}

const ofStruct = ({ fields }: StructShape): FirstError | undefined => {
  const ownName = errorNames.find((name) => fields.has(name))
  const nested = Array.from(fields, ([name, { shape }]) => [name, ofShape(shape)] as const).filter(
    (field): field is [string, FirstError] => field[1] !== undefined
  )
  if (ownName === undefined && nested.length === 0) return undefined
  return (value) => {
    if (value === null || value === undefined) return none
    const own = ownName === undefined ? none : ((value as Values)[ownName] ?? none)
    if (own !== none) return own as number
    for (const [name, ofField] of nested) {
      const error = ofField((value as Values)[name])
      if (error !== none) return error
    }
    return none
  }
}

/** A message's own error before those of its parts, these in the order of the fields; 0 if it has none. */
export const compileFirstError = (message: StructShape): FirstError => ofStruct(message) ?? (() => none)
