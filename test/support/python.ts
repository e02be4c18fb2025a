import * as fs from "node:fs"
import * as path from "node:path"
import { outputOf } from "./runCommand.ts"

const clients = path.join(import.meta.dirname, "../clients")

const textOf = (bytes: Buffer | null): string => (bytes === null ? "-" : bytes.toString("base64"))
const bytesOf = (text: string): Buffer | null => (text === "-" ? null : Buffer.from(text, "base64"))

/** A client library of Python: its packages, by the name that install.sh gives them, and the program that uses it. */
export interface PythonClient {
  readonly packages: string
  readonly program: string
}

export interface PythonRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** What runs a program of test/clients/python. */
export const pythonSource = (
  { packages, program }: PythonClient,
  args: ReadonlyArray<string>
): { readonly command: string; readonly args: ReadonlyArray<string> } => {
  const command = path.join(clients, ".cache/python", packages, "bin/python")
  if (!fs.existsSync(command)) throw new Error(`no ${command}: run test/clients/install.sh first`)
  return { command, args: ["-B", path.join(clients, "python", program), ...args] }
}

const run = async (client: PythonClient, args: ReadonlyArray<string>, input = ""): Promise<ReadonlyArray<string>> => {
  const source = pythonSource(client, args)
  const output = await outputOf(source.command, source.args, { input, timeoutMs: 60_000 })
  return output
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "")
}

const recordOf = (line: string): PythonRecord => {
  const [topic, partition, offset, , key, value] = line.split(" ") as [string, string, string, string, string, string]
  return { topic, partition: Number(partition), offset: Number(offset), key: bytesOf(key), value: bytesOf(value) }
}

/** Copies `count` committed records from one topic to the other in transactions, of which the first is aborted. Resolves with what becomes of the producer when another takes its id. */
export const pythonCopy = async (
  client: PythonClient,
  brokers: string,
  from: string,
  to: string,
  transactionalId: string,
  count: number
): Promise<string> => (await run(client, ["copy", brokers, from, to, transactionalId, String(count)])).join("\n")

/** What an administrator makes of a topic of one partition, line by line. */
export const pythonAdmin = (client: PythonClient, brokers: string, topic: string): Promise<ReadonlyArray<string>> =>
  run(client, ["admin", brokers, topic])

/** Names of all topics. */
export const pythonTopics = (client: PythonClient, brokers: string): Promise<ReadonlyArray<string>> =>
  run(client, ["topics", brokers])

/** Resolves when all records are acknowledged. */
export const pythonProduce = async (
  client: PythonClient,
  brokers: string,
  topic: string,
  codec: string,
  records: ReadonlyArray<{ readonly key: Buffer | null; readonly value: Buffer | null }>
): Promise<void> => {
  const input = records.map(({ key, value }) => `${textOf(key)} ${textOf(value)}\n`).join("")
  await run(client, ["produce", brokers, topic, codec], input)
}

/** The first `count` records of a topic's partitions, read without a group. */
export const pythonRead = async (
  client: PythonClient,
  brokers: string,
  topic: string,
  count: number
): Promise<ReadonlyArray<PythonRecord>> => (await run(client, ["read", brokers, topic, String(count)])).map(recordOf)

/** The next `count` records of a group, which are committed. `topic` is a pattern if it begins with "^". */
export const pythonGroup = async (
  client: PythonClient,
  brokers: string,
  topic: string,
  group: string,
  count: number
): Promise<ReadonlyArray<PythonRecord>> =>
  (await run(client, ["group", brokers, topic, group, String(count)])).map(recordOf)
