import * as fs from "node:fs"

/** What a process takes, as Linux tells it. */
export interface ProcessSample {
  readonly atMs: number
  /** All of its memory, in bytes. */
  readonly rssBytes: number
  /** Without pages of files, which the system takes back when it needs them: the journal is mapped. */
  readonly anonBytes: number
  readonly fileDescriptors: number
}

const bytesOf = (status: string, name: string): number => {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]
  if (kib === undefined) throw new Error(`/proc/PID/status has no ${name}`)
  return Number(kib) * 1024
}

/** Throws when there is no such process. */
export const sampleOf = (pid: number): ProcessSample => {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8")
  return {
    atMs: performance.now(),
    rssBytes: bytesOf(status, "VmRSS"),
    anonBytes: bytesOf(status, "RssAnon"),
    fileDescriptors: fs.readdirSync(`/proc/${pid}/fd`).length
  }
}

/** Samples a process now and then, until it is stopped or the process has gone. */
export class ProcessWatch {
  readonly samples: Array<ProcessSample> = []
  readonly #timer: NodeJS.Timeout

  constructor(pid: number, everyMs: number) {
    this.#timer = setInterval(() => {
      try {
        this.samples.push(sampleOf(pid))
      } catch {
        this.stop()
      }
    }, everyMs)
  }

  /** The highest of all samples. */
  peak(of: keyof ProcessSample): number {
    return this.samples.reduce((most, sample) => Math.max(most, sample[of]), 0)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
