import type { Option } from "./commandLine.ts"

/** How records are shown. */
export const recordOptions: ReadonlyArray<Option> = [
  { name: "json", value: undefined, help: "one JSON document per line; what is no UTF-8 is base64, as valueBase64" },
  {
    name: "format",
    short: "f",
    value: "FORMAT",
    help: "%t topic, %p partition, %o offset, %k key, %v value, %h headers, %T time in ms, %d in ISO 8601, %K and %S lengths"
  }
]
