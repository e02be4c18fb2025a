import * as fs from "node:fs"
import * as path from "node:path"
import { gunzipSync, gzipSync } from "node:zlib"

/** A directory's files as one: a line of JSON with names and lengths, then their bytes, all of it compressed. */
export const packDirectory = (directory: string, names: ReadonlyArray<string>): Buffer => {
  const files = names.map((name) => ({ name, bytes: fs.readFileSync(path.join(directory, name)) }))
  const head = `${JSON.stringify(files.map(({ name, bytes }) => ({ name, length: bytes.length })))}\n`
  return gzipSync(Buffer.concat([Buffer.from(head), ...files.map(({ bytes }) => bytes)]), { level: 9 })
}

export const unpackDirectory = (packed: Uint8Array, directory: string): void => {
  const bytes = gunzipSync(packed)
  let at = bytes.indexOf("\n") + 1
  const head = JSON.parse(bytes.toString("utf8", 0, at)) as ReadonlyArray<{ name: string; length: number }>
  for (const { name, length } of head) {
    fs.writeFileSync(path.join(directory, name), bytes.subarray(at, at + length))
    at += length
  }
}
