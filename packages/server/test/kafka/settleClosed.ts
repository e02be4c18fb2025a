import { systemClock } from "@logbrook/core/Clock"
import type { LmdbJournal } from "@logbrook/core/journal/LmdbJournal"
import { Settler } from "@logbrook/core/settle/Settler"
import { inProcess } from "../../../core/test/settle/inProcess.ts"
import type { Kit } from "./kit.ts"

/** Every closed segment of the kit's journal is settled when this resolves; there must be one that is not. */
export const settleClosed = async (journal: LmdbJournal, { shard }: Kit): Promise<void> => {
  const all = Promise.withResolvers<void>()
  let left = journal.segments().filter(({ isSettled }) => !isSettled).length - 1
  const settler = new Settler({
    journal,
    logs: shard.logs,
    clock: systemClock,
    work: inProcess(),
    onHold: () => undefined,
    onSettled: () => --left === 0 && all.resolve(),
    onFailed: (segment, detail) => all.reject(new Error(`${segment}: ${detail}`))
  })
  settler.start()
  await all.promise
  await settler.stop()
}
