import type { Registry } from "./Registry.ts"

/** The page of the documentation that lists what the server serves, in Markdown. */
export const apiTable = (registry: Registry): string => {
  const rows = Array.from(registry.handlers.values(), ({ api: { key, name, flexible }, serves, listedFrom, needs }) => {
    const needed = Object.entries(needs).map(([type, operations]) => `${operations.join(", ")} on ${type}`)
    const remark = serves[0] === listedFrom ? "" : `listed from ${listedFrom}, served from ${serves[0]}`
    return `| ${key} | ${name} | ${serves[0]}–${serves[1]} | ${flexible} | ${needed.join("; ")} | ${remark} |`
  })
  return [
    "# Kafka APIs",
    "",
    "The server answers these, and lists them in ApiVersions. Another version, or another API, closes the connection; another version of",
    "ApiVersions is answered with `UNSUPPORTED_VERSION`. The rules decide on what an API needs:",
    "`packages/core/src/access/rules.ts`, for each topic and group of a request.",
    "",
    "| Key | API | Versions | Flexible from | Needs | Remark |",
    "|---|---|---|---|---|---|",
    ...rows,
    "",
    "Made by `node --conditions=source scripts/kafka-apis.ts` from the handlers in `packages/server/src/kafka`.",
    ""
  ].join("\n")
}
