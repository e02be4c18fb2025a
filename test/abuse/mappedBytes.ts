import * as fs from "node:fs"

/** Resident pages of a process that lie in files below a directory: clean ones, which the system takes back at need. */
export const mappedBytes = (pid: number, directory: string): number => {
  let bytes = 0
  let isBelow = false
  for (const line of fs.readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
    if (/^[0-9a-f]+-/.test(line)) isBelow = line.includes(` ${directory}/`)
    const kib = isBelow ? /^Rss:\s+(\d+) kB/.exec(line)?.[1] : undefined
    if (kib !== undefined) bytes += Number(kib) * 1024
  }
  return bytes
}
