import { systemClock } from "@logbrook/core/Clock"
import type { SettleOutcome } from "@logbrook/core/settle/workerMessages"
import type { SettleWork } from "@logbrook/core/settle/childProcess"
import { Pace } from "@logbrook/core/settle/Pace"
import type { SettleJob, SettleStep } from "@logbrook/core/settle/SettleJob"
import { settleSegment } from "@logbrook/core/settle/settleSegment"

/** Does in this process what a worker does. */
export const inProcess =
  (at?: (step: SettleStep) => void) =>
  (job: SettleJob): SettleWork => {
    const pace = new Pace(systemClock, 1000, 0)
    const done = settleSegment(job, at === undefined ? { pace } : { pace, at }).then(
      (settled): SettleOutcome => ({ _tag: "Settled", ...settled }),
      (error: Error): SettleOutcome => ({ _tag: "Refused", detail: error.message })
    )
    return { done, hurry: () => undefined, cancel: () => undefined }
  }
