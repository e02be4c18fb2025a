/** Texts of a configuration file, a flag or an environment variable, read as what the setting is. Undefined: it is none. */

const unitsMs: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 7 * 86_400_000]
])

const unitsBytes: ReadonlyMap<string, number> = new Map([
  ["b", 1],
  ...["k", "m", "g", "t"].flatMap(
    (prefix, i) =>
      [
        [prefix, 1000 ** (i + 1)],
        [`${prefix}b`, 1000 ** (i + 1)],
        [`${prefix}i`, 1024 ** (i + 1)],
        [`${prefix}ib`, 1024 ** (i + 1)]
      ] as const
  )
])

const withUnit = (value: unknown, units: ReadonlyMap<string, number>, byDefault: string): number | undefined => {
  const found = /^(\d{1,15}(?:\.\d{1,9})?) ?([a-zA-Z]*)$/.exec(String(value).trim())
  if (found === null) return undefined
  const unit = units.get((found[2] || byDefault).toLowerCase())
  const scaled = unit === undefined ? NaN : Number(found[1]) * unit
  return Number.isSafeInteger(scaled) ? scaled : undefined
}

const isText = (value: unknown): value is string | number => typeof value === "string" || typeof value === "number"

/** Milliseconds of `7d`, `500ms`, `1.5h`, or of a bare number of milliseconds. */
export const durationMs = (value: unknown): number | undefined =>
  isText(value) ? withUnit(value, unitsMs, "ms") : undefined

/** Bytes of `512MB` or `512M` (decimal), `64KiB` or `64Ki` (binary), or of a bare number of bytes. */
export const sizeBytes = (value: unknown): number | undefined =>
  isText(value) ? withUnit(value, unitsBytes, "b") : undefined

export const wholeNumber = (value: unknown): number | undefined => {
  const number = isText(value) && /^\d{1,16}$/.test(String(value).trim()) ? Number(value) : NaN
  return Number.isSafeInteger(number) ? number : undefined
}

export const ratio = (value: unknown): number | undefined => {
  const number = isText(value) && /^\d(\.\d{1,9})?$/.test(String(value).trim()) ? Number(value) : NaN
  return number >= 0 && number <= 1 ? number : undefined
}

export const truth = (value: unknown): boolean | undefined => {
  if (typeof value === "boolean") return value
  if (value === "true" || value === "1") return true
  return value === "false" || value === "0" ? false : undefined
}

/** `broker.example.org:9092`, `[::1]:9092`. */
export const hostAndPort = (value: unknown): { readonly host: string; readonly port: number } | undefined => {
  const found =
    typeof value === "string" ? /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]{1,255})):(\d{1,5})$/.exec(value) : null
  const port = Number(found?.[3])
  return found !== null && port >= 1 && port <= 65_535 ? { host: (found[1] ?? found[2])!, port } : undefined
}

/** The words for a value that is none of a setting's. */
export const notTaken = (value: unknown, expects: string): string => {
  const text = JSON.stringify(value) ?? String(value)
  return `${text.length > 80 ? `${text.slice(0, 77)}...` : text} is not ${expects}`
}

/** Whether only this machine can connect to an address to listen on. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/** Where a setting comes from that follows from what V8 may take: nobody has set it, as little as a default. */
export const heapOrigin = "V8's heap limit"
