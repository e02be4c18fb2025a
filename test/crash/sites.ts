import { kafkajsOf } from "../support/nodeReaders.ts"
import { ServerProcess } from "../support/server.ts"
import { Audit, type Loss } from "./Audit.ts"
import { startChurn, type Churn, type ChurnLoss } from "./churn.ts"
import type { Aim } from "./kills.ts"
import { audit, finish, loadText, regrouped, startLoad } from "./load.ts"

/** A server with its load, and how its kills are checked. */
export interface Site {
  readonly name: string
  readonly server: ServerProcess
  readonly aims: ReadonlyArray<Aim>
  readonly faults: Array<string>
  /** Little load, or all of it. */
  readonly slow: (isSlow: boolean) => void
  /** Adds to `faults` what was acknowledged before the call and is not there. */
  readonly audit: () => Promise<void>
  /** Resolves when consumers that a kill has thrown out are back. */
  readonly regrouped: () => Promise<void>
  /** Ends the load, then the server in order, and looks at everything once more. */
  readonly finish: () => Promise<void>
  readonly churn: Churn
  readonly text: () => string
}

/** The log tells what a worker does. */
const logLevel = { LOGBROOK_LOG_LEVEL: "debug" }

const churnLosses: ReadonlyArray<string | undefined> = ["sample", "state"]

/** Longer than a kill, the checks and a restart take on a busy machine; else there is nothing young to be missed. */
const retentionMs = 6000

/** A server is away while its files are looked at, on a busy machine for half a minute. */
const patience = { initialRetryTime: 50, maxRetryTime: 500, retries: 200 }

const losses = (lose: Loss | ChurnLoss | undefined) =>
  churnLosses.includes(lose)
    ? { churnLoss: lose as ChurnLoss, loss: undefined }
    : { churnLoss: undefined, loss: lose as Loss | undefined }

/** Most streams are kept for ever; of those that are not, little is left of a segment after a while. */
export const keepingSite = async (lose: Loss | ChurnLoss | undefined): Promise<Site> => {
  const { churnLoss, loss } = losses(lose)
  const env = { ...logLevel, LOGBROOK_JOURNAL_SEGMENT_BYTES: "1MB", LOGBROOK_JOURNAL_HISTORY_MS: "5s" }
  const server = await ServerProcess.start({ env })
  const kafka = kafkajsOf(server.kafka, "rig", patience)
  const audited = new Audit(server.kafka, loss)
  const { faults } = audited
  const load = await startLoad(server, kafka)
  const churn = await startChurn(server, kafka, { retentionMs, allExpires: false, faults, lose: churnLoss })
  return {
    name: "most is kept",
    server,
    aims: ["any time", "roll", "settle", "rewrite", "merge", "compact", "backup", "stop"],
    faults,
    slow: (isSlow) => {
      load.slow(isSlow)
      churn.slow(isSlow)
    },
    audit: async () => {
      await Promise.all([audit(audited, kafka, load), churn.audit()])
    },
    regrouped: () => regrouped(load),
    finish: async () => {
      await churn.finish()
      await churn.audit()
      await finish(server, kafka, audited, load)
    },
    churn,
    text: () => `${loadText(audited, load)}, ${churn.text()}`
  }
}

/** Everything expires, so that whole segments are dropped. */
export const expiringSite = async (lose: Loss | ChurnLoss | undefined): Promise<Site> => {
  const env = { ...logLevel, LOGBROOK_JOURNAL_SEGMENT_BYTES: "256KB", LOGBROOK_JOURNAL_HISTORY_MS: "0" }
  const server = await ServerProcess.start({ env })
  const faults: Array<string> = []
  const options = { retentionMs, allExpires: true, faults, lose: losses(lose).churnLoss }
  const churn = await startChurn(server, kafkajsOf(server.kafka, "rig", patience), options)
  return {
    name: "everything expires",
    server,
    aims: ["drop", "rewrite", "compact"],
    faults,
    slow: churn.slow,
    audit: churn.audit,
    regrouped: () => Promise.resolve(),
    finish: async () => {
      await churn.finish()
      await churn.audit()
      const code = await server.stop()
      if (code !== 0) faults.push(`a graceful stop exited with ${code}: ${server.logTail()}`)
    },
    churn,
    text: churn.text
  }
}
