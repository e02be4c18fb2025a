import { compileReader, compileWriter } from "./compile.ts"
import type { Read, Write } from "./compile.ts"
import { compileFirstError } from "./firstError.ts"
import { everyVersion, range } from "./Shape.ts"
import type { FieldShape, RangeText, Shape, StructShape } from "./Shape.ts"
import { Reader, WireError, Writer } from "./Wire.ts"

/** A type on the wire. `Out` is what is decoded; `In`, what is encoded: there, fields with a default may be left out. */
export interface Codec<Out, In = Out> {
  readonly _tag: "Codec"
  readonly shape: Shape
  readonly _Out?: Out
  readonly _In?: In
}

/** A field that is on the wire in some versions only, or tagged; elsewhere it has its default. */
export interface Field<Out, In = Out> {
  readonly _tag: "Field"
  readonly field: FieldShape
  readonly _Out?: Out
  readonly _In?: In
}

export type Fields = { readonly [name: string]: Codec<unknown> | Field<unknown> }

type OutOf<F> = F extends Codec<infer Out, unknown> ? Out : F extends Field<infer Out, unknown> ? Out : never
type InOf<F> = F extends Codec<unknown, infer In> ? In : F extends Field<unknown, infer In> ? In : never
type Required<F> = { [N in keyof F]: F[N] extends Codec<unknown> ? N : never }[keyof F]
type Flat<T> = { [N in keyof T]: T[N] }

/** A decoded message: every field is there, in all versions. */
export type Decoded<F> = { readonly [N in keyof F]: OutOf<F[N]> }
/** A message to encode: fields with a default may be left out. Every decoded message is one. */
export type Encodable<F> = Flat<
  { readonly [N in Required<F>]: InOf<F[N]> } & { readonly [N in Exclude<keyof F, Required<F>>]?: InOf<F[N]> }
>

const fixed = <A>(type: "bool" | "float64" | "uuid" | `${"u" | ""}int${8 | 16 | 32 | 64}`): Codec<A> =>
  ({ _tag: "Codec", shape: { type } as Shape }) as const

export const bool = fixed<boolean>("bool")
export const int8 = fixed<number>("int8")
export const int16 = fixed<number>("int16")
export const uint16 = fixed<number>("uint16")
export const int32 = fixed<number>("int32")
export const uint32 = fixed<number>("uint32")
/** A number; see `Reader.int64`. */
export const int64 = fixed<number>("int64")
export const float64 = fixed<number>("float64")
/** 22 characters of unpadded base64url, as Kafka prints it. */
export const uuid = fixed<string>("uuid")
/** The uuid that means none. */
export const zeroUuid = "AAAAAAAAAAAAAAAAAAAAAA"

export const string: Codec<string> = { _tag: "Codec", shape: { type: "string", nullable: undefined } }
export const nullableString: Codec<string | null> = nullable(string)
/** Copied out of the message. */
export const bytes: Codec<Uint8Array> = { _tag: "Codec", shape: { type: "bytes", nullable: undefined } }
export const nullableBytes: Codec<Uint8Array | null> = nullable(bytes)
/**
 * Record batches: a view of the message, never copied. Nullable in every message that has them. They are encoded from the
 * pieces in which a log has them, one behind the other.
 */
export const records: Codec<Uint8Array | null, Uint8Array | ReadonlyArray<Uint8Array> | null> = {
  _tag: "Codec",
  shape: { type: "records", nullable: everyVersion }
}

/** Nullable in the given versions; in the others null is a `null` error, read or written. */
export function nullable<Out, In>(codec: Codec<Out, In>, versions: RangeText = "0+"): Codec<Out | null, In | null> {
  if (!("nullable" in codec.shape)) throw new TypeError(`${codec.shape.type} cannot be null`)
  return { _tag: "Codec", shape: { ...codec.shape, nullable: range(versions) } }
}

export function struct<const F extends Fields>(fields: F): Codec<Decoded<F>, Encodable<F>> {
  return { _tag: "Codec", shape: structShape(fields) }
}

function structShape(fields: Fields): StructShape {
  const shapes = new Map<string, FieldShape>()
  for (const [name, one] of Object.entries(fields)) {
    shapes.set(
      name,
      one._tag === "Field"
        ? one.field
        : { shape: one.shape, versions: everyVersion, tag: undefined, fallback: undefined }
    )
  }
  return { type: "struct", fields: shapes, nullable: undefined }
}

/** An array of a codec, or of a struct given by its fields. */
export function array<Out, In>(element: Codec<Out, In>): Codec<ReadonlyArray<Out>, ReadonlyArray<In>>
export function array<const F extends Fields>(fields: F): Codec<ReadonlyArray<Decoded<F>>, ReadonlyArray<Encodable<F>>>
export function array(element: Codec<unknown> | Fields): Codec<ReadonlyArray<unknown>> {
  const shape = isCodec(element) ? element.shape : structShape(element)
  return { _tag: "Codec", shape: { type: "array", element: shape, nullable: undefined } }
}

/** An array of structs that is nullable in the given versions. */
export function nullableArray<const F extends Fields>(fields: F, versions: RangeText = "0+") {
  return nullable(array(fields), versions)
}

function isCodec(element: Codec<unknown> | Fields): element is Codec<unknown> {
  return element._tag === "Codec"
}

/** A field of the given versions, with its default in the others, and where it is left out of a message to encode. */
export function v<Out, In>(versions: RangeText, codec: Codec<Out, In>, fallback: NoInfer<Out>): Field<Out, In> {
  return { _tag: "Field", field: { shape: codec.shape, versions: range(versions), tag: undefined, fallback } }
}

/** A tagged field (KIP-482): on the wire only where it differs from its default. */
export function tagged<Out, In>(
  tag: number,
  versions: RangeText,
  codec: Codec<Out, In>,
  fallback: NoInfer<Out>
): Field<Out, In> {
  return { _tag: "Field", field: { shape: codec.shape, versions: range(versions), tag, fallback } }
}

/** A request and its response, in all declared versions. All functions throw `WireError`. */
export interface Api<Req, ReqIn, Res, ResIn> {
  readonly key: number
  readonly name: string
  readonly versions: readonly [min: number, max: number]
  /** The first flexible version (KIP-482). */
  readonly flexible: number | "never"
  readonly request: StructShape
  readonly response: StructShape
  /** The body that a reader is at. Bytes behind it are left to the caller: clients do send some. */
  readonly readRequest: (r: Reader, version: number) => Req
  /** The body from `offset` to the end of `bytes`; bytes left over are a `trailing` error. */
  readonly decodeRequest: (bytes: Uint8Array, version: number, offset?: number) => Req
  readonly decodeResponse: (bytes: Uint8Array, version: number, offset?: number) => Res
  /** The body alone, in chunks; for whole messages see `Header.ts`. */
  readonly encodeRequest: (version: number, value: ReqIn) => Array<Uint8Array>
  readonly encodeResponse: (version: number, value: ResIn) => Array<Uint8Array>
  readonly writeRequest: (w: Writer, version: number, value: ReqIn) => void
  readonly writeResponse: (w: Writer, version: number, value: ResIn) => void
  /** The first error code in a response that is none of 0: of the whole, else of a part; 0 if there is none. */
  readonly firstError: (value: ResIn) => number
}

export type AnyApi = Api<unknown, never, unknown, never>
export type RequestOf<A> = A extends Api<infer Req, never, unknown, never> ? Req : never
export type ResponseOf<A> = A extends Api<unknown, never, infer Res, never> ? Res : never
export type RequestInputOf<A> = A extends { encodeRequest: (version: number, value: infer In) => unknown } ? In : never
export type ResponseInputOf<A> = A extends { encodeResponse: (version: number, value: infer In) => unknown }
  ? In
  : never

export function api<const Q extends Fields, const S extends Fields>(
  key: number,
  name: string,
  declared: {
    readonly versions: readonly [min: number, max: number]
    readonly flexible: number | "never"
    readonly request: Q
    readonly response: S
  }
): Api<Decoded<Q>, Encodable<Q>, Decoded<S>, Encodable<S>> {
  const { versions, flexible } = declared
  const request = direction<Decoded<Q>, Encodable<Q>>(name, versions, flexible, structShape(declared.request))
  const response = direction<Decoded<S>, Encodable<S>>(name, versions, flexible, structShape(declared.response))
  return {
    key,
    name,
    versions,
    flexible,
    request: request.shape,
    response: response.shape,
    readRequest: request.read,
    decodeRequest: request.decode,
    decodeResponse: response.decode,
    encodeRequest: request.encode,
    encodeResponse: response.encode,
    writeRequest: request.write,
    writeResponse: response.write,
    firstError: compileFirstError(response.shape)
  }
}

/** Whether a version of an API has compact lengths and tagged fields (KIP-482). */
export function isFlexible(flexible: number | "never", version: number): boolean {
  return flexible !== "never" && version >= flexible
}

/** Reader and writer of one direction, compiled per version on first use. */
function direction<Out, In>(
  name: string,
  [min, max]: readonly [number, number],
  flexible: number | "never",
  shape: StructShape
) {
  const reads: Array<Read | undefined> = []
  const writes: Array<Write | undefined> = []
  const indexOf = (version: number): number => {
    if (!Number.isInteger(version) || version < min || version > max) {
      throw new WireError("version", `${name} has no version ${version}`)
    }
    return version - min
  }
  const at = (version: number) => ({ version, flexible: isFlexible(flexible, version) })
  const read = (r: Reader, version: number): Out => {
    const reader = (reads[indexOf(version)] ??= compileReader(shape, at(version)))
    return reader(r) as Out
  }
  const decode = (bytes: Uint8Array, version: number, offset = 0): Out => {
    const r = new Reader(bytes, offset)
    const value = read(r, version)
    r.end()
    return value
  }
  const write = (w: Writer, version: number, value: In): void => {
    const writer = (writes[indexOf(version)] ??= compileWriter(shape, at(version)))
    writer(w, value)
  }
  const encode = (version: number, value: In): Array<Uint8Array> => {
    const w = new Writer()
    write(w, version, value)
    return w.chunks()
  }
  return { shape, read, decode, write, encode }
}
