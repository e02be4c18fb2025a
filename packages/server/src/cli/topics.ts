import * as Effect from "effect/Effect"
import { plainText } from "../plainText.ts"
import { exitCodes } from "./CliError.ts"
import { type Listed, pageLimit, pagePath, requestPage } from "./client.ts"
import type { Run } from "./commandLine.ts"
import { bytesText, counted, note, painted, table, type Io, outJson } from "./Io.ts"
import { numberOption, urlOf } from "./optionValues.ts"

interface Topic {
  /** A topic name, or a filter that a stream is bound to. */
  readonly topic: string
  readonly streams: ReadonlyArray<string>
  readonly retainedBytes: number | null
  readonly unmatched: number | null
}

/** A level of topics; `topic` if it is the last one of a topic. */
interface Level {
  readonly below: Map<string, Level>
  topic: Topic | undefined
}

const treeOf = (topics: ReadonlyArray<Topic>): Level => {
  const root: Level = { below: new Map(), topic: undefined }
  for (const each of topics) {
    let level = root
    for (const name of each.topic.split("/")) {
      const next = level.below.get(name) ?? { below: new Map<string, Level>(), topic: undefined }
      level.below.set(name, next)
      level = next
    }
    level.topic = each
  }
  return root
}

const factsText = ({ streams, retainedBytes, unmatched }: Topic): string => {
  const facts: Array<string> = []
  if (streams.length > 0) facts.push(`${streams.length === 1 ? "stream" : "streams"} ${streams.join(", ")}`)
  if (retainedBytes !== null) facts.push(`retained ${bytesText(retainedBytes)}`)
  if (unmatched !== null) facts.push(`${counted(unmatched, "message")} went nowhere`)
  return facts.join(", ")
}

/** The lines below a level: as deep as a topic has levels, which the server bounds. */
const printBelow = (io: Io, { below }: Level, indent: string): void => {
  const last = below.size - 1
  for (const [at, [name, level]] of [...below].entries()) {
    const [branch, deeper] = at === last ? ["└─ ", "   "] : ["├─ ", "│  "]
    const facts = level.topic === undefined ? "" : `  ${painted(io, "dim", plainText(factsText(level.topic)))}`
    // An empty level is one, too.
    io.out(`${painted(io, "dim", indent + branch)}${name === "" ? '""' : plainText(name)}${facts}`)
    printBelow(io, level, indent + deeper)
  }
}

const printTopics = (io: Io, topics: ReadonlyArray<Topic>): void => {
  if (io.isTty) {
    printBelow(io, treeOf(topics), "")
    return
  }
  table(
    io,
    ["TOPIC", "STREAMS", "RETAINED", "WENT NOWHERE"],
    topics.map(({ topic, streams, retainedBytes, unmatched }) => [
      topic,
      streams.join(" ") || "-",
      String(retainedBytes ?? "-"),
      String(unmatched ?? "-")
    ])
  )
}

export const tree: Run = (args, io) =>
  Effect.gen(function* () {
    const limit = yield* numberOption(args, "limit", 1, 1000)
    const url = yield* urlOf(args, io)
    const topics: Array<Topic> = []
    let cursor: string | null = null
    do {
      const size = Math.min(pageLimit, limit - topics.length)
      const params = { filter: args.positionals[0] }
      const page: Listed<Topic> = yield* requestPage<Topic>(url, pagePath("/api/v1/topics", params, cursor, size), [
        "topic",
        "streams",
        "retainedBytes",
        "unmatched"
      ])
      topics.push(...page.data)
      cursor = page.meta.cursor
    } while (cursor !== null && topics.length < limit)
    if (args.flag("json")) outJson(io, topics, 2)
    else printTopics(io, topics)
    if (cursor !== null)
      note(io, `there are more: these are the first ${topics.length}; --limit and FILTER select others`)
    return exitCodes.ok
  })
