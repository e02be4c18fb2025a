import type { KafkaRecord } from "./kafkaRecord.ts"
import { outputOf } from "./runCommand.ts"

export interface KcatRead {
  /** All when left out. */
  readonly partition?: number
  readonly offset?: number | "beginning"
}

// Lengths before contents, so that any byte may be in them. Headers are printed as `name=value,…`.
const format = "%p %o %T %K %S %h\\n%k%s\\n"
const lineFeed = 10

const parse = (output: Buffer): Array<KafkaRecord> => {
  const records: Array<KafkaRecord> = []
  for (let at = 0; at < output.length;) {
    const lineEnd = output.indexOf(lineFeed, at)
    const [partition, offset, timestampMs, keyBytes, valueBytes, ...headers] = output
      .toString("utf8", at, lineEnd)
      .split(" ") as [string, string, string, string, string, ...Array<string>]
    const keyEnd = lineEnd + 1 + Math.max(0, Number(keyBytes))
    const valueEnd = keyEnd + Math.max(0, Number(valueBytes))
    records.push({
      partition: Number(partition),
      offset: Number(offset),
      timestampMs: Number(timestampMs),
      key: Number(keyBytes) < 0 ? null : output.subarray(lineEnd + 1, keyEnd),
      value: Number(valueBytes) < 0 ? null : output.subarray(keyEnd, valueEnd),
      headers: parseHeaders(headers.join(" "))
    })
    at = valueEnd + 1
  }
  return records
}

const parseHeaders = (text: string): ReadonlyArray<readonly [string, string]> =>
  text === ""
    ? []
    : text.split(",").map((header) => {
        const equals = header.indexOf("=")
        return [header.slice(0, equals), header.slice(equals + 1)] as const
      })

/** What is in a stream up to its end, read by kcat (librdkafka). Headers must be without commas. */
export const kcatRead = async (
  brokers: string,
  stream: string,
  { partition, offset = "beginning" }: KcatRead = {}
): Promise<Array<KafkaRecord>> => {
  const which = partition === undefined ? [] : ["-p", String(partition)]
  // An end is told by an empty fetch, which waits this long; it is not told again later.
  const args = [
    "-C",
    "-b",
    brokers,
    "-t",
    stream,
    ...which,
    "-o",
    String(offset),
    "-e",
    "-q",
    "-X",
    "fetch.wait.max.ms=20",
    "-X",
    // The log's start may move between the question for it and the first fetch.
    "auto.offset.reset=earliest",
    "-f",
    format
  ]
  return parse(await outputOf("kcat", args))
}

/** Keys and values must be without tab and line feed; an empty key is none (`-Z` makes empty ones null). */
export const kcatProduce = (
  brokers: string,
  stream: string,
  compression: string,
  records: ReadonlyArray<{ readonly key: Buffer; readonly value: Buffer }>
): Promise<Buffer> => {
  const input = Buffer.concat(records.flatMap(({ key, value }) => [key, Buffer.from("\t"), value, Buffer.from("\n")]))
  return outputOf("kcat", ["-P", "-b", brokers, "-t", stream, "-z", compression, "-K", "\t"], { input })
}
