import * as fs from "node:fs"
import * as path from "node:path"
import { kindOf, type AnyDefinition } from "../actor/Definition.ts"
import { hashOfState, stateVersionOf } from "../actor/savedState.ts"
import { FrameBuilder } from "../journal/Frame.ts"
import { JournalError } from "../journal/JournalError.ts"
import { LmdbJournal } from "../journal/LmdbJournal.ts"
import { occupancyFile } from "../journal/segmentFiles.ts"
import { Replay } from "../shard/Replay.ts"

/**
 * Clients hold epochs of what the original wrote behind the point up to which a copy has its events. The copy's server begins
 * this far above those that are known, so that no epoch ever stands for two histories (OffsetForLeaderEpoch, KIP-320).
 */
const epochsApart = 1000

const journalOptions = { segmentBytes: 1_000_000_000, segmentRefsMax: Infinity }

export interface RaiseOptions {
  readonly definitions: ReadonlyArray<AnyDefinition>
  readonly nowMs: () => number
}

/** Whether a file is one that a writer leaves beside the segments. */
const isOfWriter = (name: string): boolean => name.endsWith("-lock") || name === occupancyFile

/**
 * Appends a commit with a hash of the shard's state, far above `epoch`. Returns the time of the last commit before it, Unix
 * milliseconds. Throws `JournalError`.
 */
export const raiseEpoch = async (directory: string, epoch: number, options: RaiseOptions): Promise<number> => {
  const journal = LmdbJournal.open({ ...journalOptions, directory })
  try {
    const { states, lastTimeMs } = new Replay(options.definitions).run(journal)
    const id = [...states.keys()].find((each) => kindOf(each) === "shard")
    const definition = options.definitions.find(({ kind }) => kind === "shard")
    // Without them no server has ever written here: there is no epoch to be told from.
    if (id === undefined || definition === undefined) return lastTimeMs
    const frame = new FrameBuilder(journal.nextSeq, epoch + epochsApart, options.nowMs())
    frame.hash(id, hashOfState(definition, states.get(id)), stateVersionOf(definition))
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    journal.append(frame.build().commit, (failure) => resolve(failure?.detail))
    const failure = await promise
    if (failure !== undefined) throw new JournalError("Io", failure)
    return lastTimeMs
  } finally {
    await journal.close()
    for (const name of fs.readdirSync(directory).filter(isOfWriter)) fs.rmSync(path.join(directory, name))
  }
}
