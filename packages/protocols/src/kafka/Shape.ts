/** Versions `since` to `until`, both included. */
export interface Range {
  readonly since: number
  readonly until: number
}

export type RangeText = `${number}+` | `${number}-${number}` | `${number}`

const open = 0x7fff

export const everyVersion: Range = { since: 0, until: open }

/** `"5+"`, `"5-7"` or `"5"`, as Kafka's schemas write them. */
export function range(text: RangeText): Range {
  const [since, until] = text.endsWith("+") ? [text.slice(0, -1), `${open}`] : text.split("-")
  return { since: Number(since), until: Number(until ?? since) }
}

export function includes(versions: Range, version: number): boolean {
  return version >= versions.since && version <= versions.until
}

export type FixedType = "bool" | "int8" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "float64" | "uuid"

/** The shape of what is on the wire: plain data, from which the readers and writers of one version are compiled. */
export type Shape =
  | { readonly type: FixedType }
  | { readonly type: "string" | "bytes" | "records"; readonly nullable: Range | undefined }
  | { readonly type: "array"; readonly element: Shape; readonly nullable: Range | undefined }
  | StructShape

export interface StructShape {
  readonly type: "struct"
  readonly fields: ReadonlyMap<string, FieldShape>
  readonly nullable: Range | undefined
}

export interface FieldShape {
  readonly shape: Shape
  /** The versions in which the field is on the wire. */
  readonly versions: Range
  /** Its number as a tagged field (KIP-482); undefined for a positional one. */
  readonly tag: number | undefined
  /** The value in versions without the field; undefined where every version has it. */
  readonly fallback: unknown
}
