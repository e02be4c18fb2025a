/**
 * Settles the journal in a directory, and kills itself at a step: `settleAndDie.ts DIRECTORY STEP [KEPT]`, the steps of
 * worker and journal counted from 1 on. Prints how many there were if it lives. With KEPT, the seq from which on events
 * are kept, it rewrites and merges as well.
 */
import { systemClock } from "@logbrook/core/Clock"
import { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { Settler } from "@logbrook/core/settle/Settler"
import { recoverShard } from "@logbrook/core/shard/recover"
import { ShardActor } from "@logbrook/core/shard/ShardActor"
import { LogStore } from "@logbrook/core/storage/LogStore"
import { makeCounter, ToyPartition } from "../support/toys.ts"
import { inProcess } from "./inProcess.ts"
import { rewriteAll } from "./rewriteAll.ts"

const [, , directory, killAt, kept] = process.argv
let steps = 0
const at = (): void => {
  if (++steps === Number(killAt)) process.kill(process.pid, "SIGKILL")
}
const journal = LmdbJournal.open({ directory: directory!, segmentBytes: 1e9, segmentRefsMax: 1e6 })
const logs = new LogStore(journal, 0, 64 * 1024)
recoverShard({ journal, definitions: [ShardActor, makeCounter(), ToyPartition], clock: systemClock }, logs)
const settleAll = async (): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const settler: Settler = new Settler({
    journal,
    logs,
    clock: systemClock,
    work,
    onHold: () => undefined,
    onSettled: () => settler.unsettled === 0 && resolve(),
    onFailed: (segment, detail) => {
      console.error(segment, detail)
      process.exit(2)
    },
    at
  })
  settler.start()
  await promise
  await settler.stop()
}
const work = inProcess(at)
if (kept !== undefined) await rewriteAll({ journal, logs, work, at }, 400_000, () => Number(kept))
else await settleAll()
await journal.close()
console.log(steps)
