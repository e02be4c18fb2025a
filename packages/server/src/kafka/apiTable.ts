import { apis } from "@logbrook/protocols/kafka/Apis"
import { advertised, handlers } from "./handlers.ts"

/** The page of the documentation that lists what the server serves, in Markdown. */
export const apiTable = (): string => {
  const rows = advertised().map(({ key, name, min }) => {
    const serves = handlers.get(key)!.serves
    const flexible = apis.get(key)!.flexible
    const remark = serves[0] === min ? "" : `listed from ${min}, served from ${serves[0]}`
    return `| ${key} | ${name} | ${serves[0]}–${serves[1]} | ${flexible} | ${remark} |`
  })
  return [
    "# Kafka APIs",
    "",
    "What the server answers, and lists in ApiVersions. Another version, or another API, closes the connection; another version of",
    "ApiVersions is answered with `UNSUPPORTED_VERSION`.",
    "",
    "| Key | API | Versions | Flexible from | Remark |",
    "|---|---|---|---|---|",
    ...rows,
    "",
    "Made by `node --conditions=source scripts/kafka-apis.ts` from the handlers in `packages/server/src/kafka`.",
    ""
  ].join("\n")
}
