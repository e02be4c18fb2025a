import type { FieldShape, Range, Shape, StructShape } from "../../src/kafka/Shape.ts"
import type { AnyApi } from "../../src/kafka/Schema.ts"

/** A field as Kafka's own message schemas have it. */
export interface KafkaField {
  readonly name: string
  readonly type: string
  readonly versions?: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: string | number | boolean
  readonly fields?: ReadonlyArray<KafkaField>
}

export interface KafkaMessage {
  readonly apiKey: number
  readonly name: string
  readonly validVersions: string
  readonly flexibleVersions: string
  readonly fields: ReadonlyArray<KafkaField>
  readonly commonStructs?: ReadonlyArray<KafkaField>
}

const zeroUuid = "AAAAAAAAAAAAAAAAAAAAAA"

/** A schema file: JSON with `//` comments. Strings are matched first, since a URL in one is no comment. */
export function parseSchema(text: string): KafkaMessage {
  return JSON.parse(text.replace(/("(?:[^"\\]|\\.)*")|\/\/.*$/gm, "$1")) as KafkaMessage
}

function parseRange(text: string): Range | undefined {
  if (text === "none") return undefined
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text)
  if (match === null) throw new Error(`not a version range: ${text}`)
  const since = Number(match[1])
  return { since, until: match[2] === "+" ? 0x7fff : Number(match[3] ?? since) }
}

function intersect(a: Range | undefined, b: Range | undefined): Range | undefined {
  if (a === undefined || b === undefined) return undefined
  const since = Math.max(a.since, b.since)
  const until = Math.min(a.until, b.until)
  return since > until ? undefined : { since, until }
}

function show(versions: Range | undefined): string {
  return versions === undefined ? "none" : `${versions.since}-${versions.until}`
}

function camelCase(name: string): string {
  return name.slice(0, 1).toLowerCase() + name.slice(1)
}

class Comparison {
  readonly differences: Array<string> = []
  readonly #common: ReadonlyMap<string, ReadonlyArray<KafkaField>>

  constructor(message: KafkaMessage) {
    this.#common = new Map((message.commonStructs ?? []).map((one) => [one.name, one.fields ?? []]))
  }

  #expect(path: string, what: string, ours: unknown, kafkas: unknown): void {
    const [a, b] = [JSON.stringify(ours), JSON.stringify(kafkas)]
    if (a !== b) this.differences.push(`${path}: ${what} is ${a}, Kafka's is ${b}`)
  }

  #fieldsOf(field: KafkaField): ReadonlyArray<KafkaField> {
    const fields = field.fields ?? this.#common.get(field.type.replace("[]", ""))
    if (fields === undefined) throw new Error(`no fields of ${field.name}`)
    return fields
  }

  struct(path: string, ours: StructShape, fields: ReadonlyArray<KafkaField>, within: Range): void {
    const kafkas = fields.filter((field) => intersect(parseRange(field.versions ?? "0+"), within) !== undefined)
    const isTagged = (field: KafkaField) => intersect(parseRange(field.taggedVersions ?? "none"), within) !== undefined
    const positional = [...ours.fields].filter(([, field]) => field.tag === undefined).map(([name]) => name)
    const order = kafkas.filter((field) => !isTagged(field)).map((field) => camelCase(field.name))
    this.#expect(path, "the order of fields", positional, order)
    const tagged = [...ours.fields].filter(([, field]) => field.tag !== undefined).map(([name]) => name)
    const tags = kafkas.filter(isTagged).map((field) => camelCase(field.name))
    this.#expect(path, "the set of tagged fields", tagged.sort(), tags.sort())
    for (const field of kafkas) {
      const name = camelCase(field.name)
      const shape = ours.fields.get(name)
      if (shape !== undefined) this.#field(`${path}.${name}`, shape, field, within)
    }
  }

  #field(path: string, ours: FieldShape, kafkas: KafkaField, within: Range): void {
    const versions = intersect(parseRange(kafkas.versions ?? "0+"), within)
    this.#expect(path, "versions", show(intersect(ours.versions, within)), show(versions))
    if (versions === undefined) return
    const tagVersions = intersect(parseRange(kafkas.taggedVersions ?? "none"), within)
    this.#expect(path, "tag", ours.tag ?? null, tagVersions === undefined ? null : kafkas.tag)
    if (tagVersions !== undefined) this.#expect(path, "tagged versions", show(versions), show(tagVersions))
    const nullable = show(intersect(parseRange(kafkas.nullableVersions ?? "none"), versions))
    this.#shape(path, ours.shape, kafkas.type, kafkas, versions, nullable)
    this.#fallback(path, ours, kafkas, show(versions) === show(within))
  }

  #shape(path: string, ours: Shape, type: string, field: KafkaField, versions: Range, nullable: string): void {
    const ourNullable = "nullable" in ours ? show(intersect(ours.nullable, versions)) : "none"
    this.#expect(path, "nullable versions", ourNullable, nullable)
    if (type.startsWith("[]")) {
      this.#expect(path, "type", ours.type, "array")
      if (ours.type === "array") this.#shape(`${path}[]`, ours.element, type.slice(2), field, versions, "none")
    } else if (/^[A-Z]/.test(type)) {
      this.#expect(path, "type", ours.type, "struct")
      if (ours.type === "struct") this.struct(path, ours, this.#fieldsOf(field), versions)
    } else {
      this.#expect(path, "type", ours.type, type)
    }
  }

  /** A default must be declared where a version lacks the field, and where Kafka has one that is not zero or empty. */
  #fallback(path: string, ours: FieldShape, kafkas: KafkaField, everywhere: boolean): void {
    const expected = this.#defaultOf(kafkas)
    if (ours.fallback !== undefined) {
      this.#expect(path, "default", ours.fallback, expected)
      return
    }
    const isNeeded = !everywhere || JSON.stringify(expected) !== JSON.stringify(zeroOf(kafkas.type))
    if (isNeeded) this.differences.push(`${path}: the default ${JSON.stringify(expected)} is not declared`)
  }

  #defaultOf(field: KafkaField): unknown {
    if (field.default !== undefined) return parseDefault(field)
    if (!/^[A-Z]/.test(field.type)) return zeroOf(field.type)
    return Object.fromEntries(this.#fieldsOf(field).map((one) => [camelCase(one.name), this.#defaultOf(one)]))
  }
}

function zeroOf(type: string): unknown {
  if (type.startsWith("[]")) return []
  if (type === "string" || type === "bytes") return ""
  if (type === "records") return null
  if (type === "bool") return false
  return type === "uuid" ? zeroUuid : 0
}

function parseDefault(field: KafkaField): unknown {
  const text = `${field.default}`
  if (text === "null") return null
  if (field.type === "bool") return text === "true"
  if (field.type === "string") return text
  // A 64-bit number beyond what a `number` holds exactly is read as that bound.
  return field.type === "int64" ? Math.min(Number(text), Number.MAX_SAFE_INTEGER) : Number(text)
}

/** What differs between a declaration and Kafka's request and response schemas, within the declared versions. */
export function compareApi(api: AnyApi, schemas: ReadonlyMap<string, KafkaMessage>): ReadonlyArray<string> {
  const within: Range = { since: api.versions[0], until: api.versions[1] }
  const differences: Array<string> = []
  for (const direction of ["Request", "Response"] as const) {
    const name = `${api.name}${direction}`
    const message = schemas.get(name)
    if (message === undefined) {
      differences.push(`${name}: Kafka has no such message`)
      continue
    }
    if (message.apiKey !== api.key) differences.push(`${name}: key is ${api.key}, Kafka's is ${message.apiKey}`)
    const valid = intersect(parseRange(message.validVersions), within)
    if (show(valid) !== show(within)) {
      differences.push(`${name}: versions ${show(within)} are not within Kafka's ${message.validVersions}`)
    }
    const flexible = parseRange(message.flexibleVersions)?.since ?? "never"
    if (flexible !== api.flexible) differences.push(`${name}: flexible is ${api.flexible}, Kafka's is ${flexible}`)
    const comparison = new Comparison(message)
    comparison.struct(name, direction === "Request" ? api.request : api.response, message.fields, within)
    differences.push(...comparison.differences)
  }
  return differences
}
