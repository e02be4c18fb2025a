/** kcat: a process for each verb, and one for each member of a group. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { brokers, recordsOf, serve, type Words } from "./program.ts"

interface Member {
  readonly child: ChildProcess
  readonly seen: Array<string>
}
const members = new Map<string, Member>()

/** Longer than librdkafka waits before it sends what it has. */
const sentMs = 200

const kcat = (...args: ReadonlyArray<string>): ChildProcess =>
  spawn("kcat", ["-b", brokers, "-q", ...args], { stdio: ["pipe", "pipe", "inherit"] })

/** Standard output, once it has ended with 0. */
const outputOf = async (child: ChildProcess): Promise<string> => {
  let output = ""
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (output += text))
  const [code] = (await once(child, "close")) as [number | null]
  if (code !== 0) throw new Error(`kcat ended with ${code}`)
  return output
}

const producerArgs = (topic: string): ReadonlyArray<string> => ["-P", "-t", topic, "-K", "|", "-H", "source=matrix"]
const linesOf = (words: Words): string =>
  recordsOf(words)
    .map(({ key, value }) => `${key}|${value}\n`)
    .join("")

const produce = async ({ topic, codec, idempotent, ...words }: Words): Promise<void> => {
  const child = kcat(...producerArgs(topic!), "-z", codec!, "-X", `enable.idempotence=${idempotent === "1"}`)
  child.stdin!.end(linesOf(words))
  await outputOf(child)
}

/** The end of its input commits a transaction, and an interrupt aborts it. */
const transact = async ({ topic, id, end, ...words }: Words): Promise<void> => {
  const child = kcat(...producerArgs(topic!), "-X", `transactional.id=${id}`)
  if (end === "commit") {
    child.stdin!.end(linesOf(words))
    await outputOf(child)
    return
  }
  child.stdin!.write(linesOf(words))
  await sleep(sentMs)
  child.kill("SIGINT")
  // It waits for its input until then.
  child.stdin!.end()
  await once(child, "close")
}

const join = async ({ member, group, topic, pattern }: Words): Promise<void> => {
  // A pattern is looked up when the metadata is.
  const settings = ["auto.offset.reset=earliest", "topic.metadata.refresh.interval.ms=1000"]
  const options = settings.flatMap((setting) => ["-X", setting])
  const child = kcat(...options, "-u", "-f", "%k/%s/%h\\n", "-G", group!, pattern ?? topic!)
  const seen: Array<string> = []
  members.set(member!, { child, seen })
  createInterface({ input: child.stdout! }).on("line", (line) => seen.push(line.replace("/source=", "/")))
}

const leave = async ({ member }: Words): Promise<void> => {
  const { child } = members.get(member!)!
  child.kill("SIGTERM")
  await once(child, "close")
}

/** What `kcat -L` tells of a topic. */
interface Listed {
  readonly topics: ReadonlyArray<{ readonly partitions: ReadonlyArray<unknown> }>
}

const version = /Version (\S+)/.exec(await outputOf(spawn("kcat", ["-V"])))![1]!

await serve(version, {
  metadata: async ({ topic }) => {
    const { topics } = JSON.parse(await outputOf(kcat("-L", "-J", "-t", topic!))) as Listed
    return { partitions: topics[0]!.partitions.length }
  },
  produce,
  transact,
  join,
  seen: async ({ member }) => ({ records: members.get(member!)!.seen.join(",") }),
  leave,
  offset: async ({ topic, time }) => {
    // As `TOPIC [PARTITION] offset OFFSET`.
    return { offset: (await outputOf(kcat("-Q", "-t", `${topic}:0:${time}`))).trim().split(" ").at(-1)! }
  }
})
