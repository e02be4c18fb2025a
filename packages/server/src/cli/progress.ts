import { constants, setPriority } from "node:os"
import { setImmediate } from "node:timers/promises"
import { bytesText, type Io } from "./Io.ts"

const barWidth = 24
const drawEveryMs = 100

/** A bar on stderr, on a terminal only; `end` takes it away. */
export interface Progress {
  readonly add: (amount: number, total: number) => void
  readonly end: () => void
}

export const makeProgress = (io: Io, what: string, text: (amount: number) => string = bytesText): Progress => {
  if (!io.isErrTty) return { add: () => undefined, end: () => undefined }
  let done = 0
  let drawnMs = -Infinity
  return {
    add: (amount, total) => {
      done += amount
      const nowMs = performance.now()
      if (nowMs - drawnMs < drawEveryMs) return
      drawnMs = nowMs
      const share = total > 0 ? Math.min(1, done / total) : 0
      const filled = Math.round(share * barWidth)
      const bar = "█".repeat(filled) + "░".repeat(barWidth - filled)
      process.stderr.write(`\r\u001b[K${what} ${bar} ${Math.floor(share * 100)} % of ${text(total)}`)
    },
    end: () => void process.stderr.write("\r\u001b[K")
  }
}

/** Behind what others do on this machine. */
export const beNice = (): void => {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {
    // Not every system lets it.
  }
}

/** Between two steps: the bar moves on, and LMDB lets go of its reader. */
export const stepping =
  ({ add }: Progress) =>
  async (bytes: number, total: number): Promise<void> => {
    add(bytes, total)
    await setImmediate()
  }
