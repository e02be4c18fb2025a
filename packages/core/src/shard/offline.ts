import type * as Exit from "effect/Exit"
import { kindOf, type ActorId, type AnyDefinition } from "../actor/Definition.ts"
import type { Address, AnyKind, CommandOf, FailureOf, ReplyOf } from "../actor/Kind.ts"
import { pack } from "../actor/pack.ts"
import { FrameBuilder } from "../journal/Frame.ts"
import { JournalError } from "../journal/JournalError.ts"
import { LmdbJournal, type LmdbJournalOptions } from "../journal/LmdbJournal.ts"
import { Replay } from "./Replay.ts"

export interface OfflineOptions {
  readonly journal: LmdbJournalOptions
  readonly definitions: ReadonlyArray<AnyDefinition>
  readonly nowMs: number
  /** The origin that the journal names for whatever the commands lead to. */
  readonly origin: string
}

/** The actors of a data directory that no server has. */
export interface OfflineActors {
  readonly state: (id: ActorId) => unknown
  /**
   * Decides a command as a server would. Deadlines and parked replies are a start's to set up again; an actor that would
   * tell or notify another cannot be asked here, which throws.
   */
  readonly ask: <K extends AnyKind, const C extends CommandOf<K>>(
    to: Address<K>,
    command: C
  ) => Exit.Exit<ReplyOf<K, C>, FailureOf<K>>
}

/**
 * Lets `run` ask actors, and appends what they decide in one commit of the last server's epoch: a replay and the next start
 * find events as any others. Throws `JournalError`: "Locked" while a server runs, and what keeps a journal from being opened.
 */
export const decideOffline = async <A>(options: OfflineOptions, run: (actors: OfflineActors) => A): Promise<A> => {
  const journal = LmdbJournal.open(options.journal)
  try {
    const { states, epoch, unknownKinds } = new Replay(options.definitions).run(journal)
    const unknown = [...unknownKinds]
    if (unknown.length > 0) throw new JournalError("UnknownFormat", `actors of unknown kinds: ${unknown.join(", ")}`)
    const frame = new FrameBuilder(journal.nextSeq, epoch, options.nowMs)
    const definitions = new Map(options.definitions.map((definition) => [definition.kind, definition]))
    const ask: OfflineActors["ask"] = (id, command) => {
      const definition = definitions.get(kindOf(id))
      if (definition === undefined) throw new Error(`no actor of kind "${kindOf(id)}"`)
      let state: unknown = states.get(id) ?? definition.initial(id)
      const decision = definition.decide(state, command, options.nowMs)
      const toOthers = decision.signals.find(({ _tag }) => _tag === "Tell" || _tag === "Notify")
      if (toOthers !== undefined || decision.reply === undefined) throw new Error(`${id} cannot be asked this offline`)
      for (const event of decision.events) {
        state = definition.evolve(state, event)
        frame.event(id, definition.version, pack(event), { origin: options.origin })
      }
      states.set(id, state)
      return decision.reply
    }
    const result = run({ state: (id) => states.get(id), ask })
    if (!frame.isEmpty) await append(journal, frame)
    return result
  } finally {
    await journal.close()
  }
}

const append = async (journal: LmdbJournal, frame: FrameBuilder): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  journal.append(frame.build().commit, (failure) => resolve(failure?.detail))
  const failure = await promise
  if (failure !== undefined) throw new JournalError("Io", failure)
}
