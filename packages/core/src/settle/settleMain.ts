/**
 * Settles segments in a process of its own: whatever it takes of processor and memory, the journal's event loop and its
 * collector do not see. A job comes as a message, its outcome goes as one; without its parent it ends.
 */
import * as os from "node:os"
import { systemClock } from "../Clock.ts"
import { JournalError } from "../journal/JournalError.ts"
import { Pace } from "./Pace.ts"
import type { SettleJob } from "./SettleJob.ts"
import { settleSegment } from "./settleSegment.ts"
import type { SettleOutcome, SettleOrder, SettleWord } from "./workerMessages.ts"

const sliceMs = 4
/** Appends beside it wait 0.8 to 2.4 times as long as without it (bench/settle.ts). */
const restShare = 1

const idleMs = 15_000

/**
 * The pace of the job under way. A pace counts from its beginning, so one for all jobs would rest for as long as the
 * worker has waited.
 */
let pace = new Pace(systemClock, sliceMs, restShare)

const outcomeOf = async (job: SettleJob): Promise<SettleOutcome> => {
  try {
    return { _tag: "Settled", ...(await settleSegment(job, { pace })) }
  } catch (error) {
    const isRefused = error instanceof JournalError && error.reason !== "Io"
    const detail = error instanceof Error ? error.message : String(error)
    return { _tag: isRefused ? "Refused" : "Failed", detail }
  }
}

// Before the first file operation, so that the threads that serve those inherit it. 10, not 19: beside a busy machine that
// gets a hundredth of a processor, and appends would wait for it in the end.
os.setPriority(os.constants.priority.PRIORITY_BELOW_NORMAL)
// An exit would wait for LMDB's writes, which never end on a disk that has failed: the process and its files would stay.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"))
const tell = (word: SettleWord): void => void process.send!(word)
let cancelIdle = (): void => undefined

const settle = async (job: SettleJob): Promise<void> => {
  cancelIdle()
  pace = new Pace(systemClock, sliceMs, restShare)
  tell(await outcomeOf(job))
  cancelIdle = systemClock.after(idleMs, () => tell({ _tag: "Idle" }))
}

process.on("message", (order: SettleOrder) => {
  if (order._tag === "Settle") void settle(order.job)
  else pace.restShare = order.isHurried ? 0 : restShare
})
