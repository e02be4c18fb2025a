import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type { Command } from "@logbrook/actors/group/GroupProtocol"
import type { GroupState } from "@logbrook/actors/group/groupState"
import { readingJournal, readingJournalLong } from "@logbrook/core/journal/readingJournal"
import { CliError, exitCodes } from "./CliError.ts"
import { allDefinitions } from "./definitions.ts"
import { checkJournalAt } from "./directories.ts"
import { openPast } from "./journalSource.ts"

/** A group as a data directory has it. */
export interface StoredGroup {
  readonly group: string
  readonly state: string
  /** When the server ended. */
  readonly members: number
  readonly committedOffsets: number
  readonly memoryBytes: number
}

/** The groups of a data directory, those that take most memory first; a running server does not mind. */
export const storedGroups = (directory: string) =>
  Effect.gen(function* () {
    const [{ Replay }, { kindOf, nameOf }, { groupStateName, isEmptyGroup, memberCountOf, weightBytesOf }] =
      yield* Effect.promise(() =>
        Promise.all([
          import("@logbrook/core/shard/Replay"),
          import("@logbrook/core/actor/Definition"),
          import("@logbrook/actors/group/groupState")
        ])
      )
    const past = yield* openPast(directory)
    const only = (id: string): boolean => kindOf(id) === "group"
    const { states } = yield* readingJournal(() => new Replay(past.definitions, { only }).run(past.journal))
    return Array.from(states)
      .map(([id, state]) => [nameOf(id), state as GroupState] as const)
      .filter(([, state]) => !isEmptyGroup(state))
      .map(([group, state]): StoredGroup => ({
        group,
        state: groupStateName(state),
        members: memberCountOf(state),
        committedOffsets: state.offsets.count,
        memoryBytes: weightBytesOf(state)
      }))
      .toSorted((a, b) => b.memoryBytes - a.memoryBytes)
  }).pipe(Effect.scoped)

export interface DeletedGroup {
  readonly group: string
  readonly offsets: number
}

/**
 * Deletes groups of a directory that no server has, in one commit: all or none of them. `force`: also groups that had members
 * when the server ended.
 */
export const deleteStored = (directory: string, names: ReadonlyArray<string>, force: boolean) =>
  Effect.gen(function* () {
    yield* checkJournalAt(directory)
    const [{ decideOffline }, { groupActor }, { isEmptyGroup, memberCountOf }, { defaultLimits }] =
      yield* Effect.promise(() =>
        Promise.all([
          import("@logbrook/core/shard/offline"),
          import("@logbrook/actors/group/GroupProtocol"),
          import("@logbrook/actors/group/groupState"),
          import("@logbrook/core/Limits")
        ])
      )
    const { segmentBytesMax: segmentBytes, segmentIndexEntriesMax: segmentRefsMax } = defaultLimits
    const options = {
      journal: { directory, segmentBytes, segmentRefsMax },
      definitions: yield* allDefinitions,
      nowMs: Date.now(),
      origin: "cli groups delete"
    }
    const refusalOf = (group: string, state: GroupState | undefined): CliError | undefined => {
      if (state === undefined || isEmptyGroup(state)) return unknownGroup(group)
      const members = memberCountOf(state)
      return members > 0 && !force ? hasMembers(group, members) : undefined
    }
    const decided = yield* readingJournalLong(() =>
      decideOffline(options, ({ state, ask }): Either.Either<ReadonlyArray<DeletedGroup>, CliError> => {
        const stateOf = (group: string) => state(groupActor(group)) as GroupState | undefined
        // None is deleted if one cannot be: nothing is asked before all have been looked at.
        const refused = names.map((group) => refusalOf(group, stateOf(group))).find((each) => each !== undefined)
        if (refused !== undefined) return Either.left(refused)
        return Either.right(
          names.map((group) => {
            const before = stateOf(group)!
            for (const command of deletion(before)) {
              if (isEmptyGroup(stateOf(group)!)) break
              const exit = ask(groupActor(group), command)
              if (Exit.isFailure(exit)) throw new Error(`${group} refuses ${command._tag}: ${String(exit.cause)}`)
            }
            return { group, offsets: before.offsets.count }
          })
        )
      })
    )
    return yield* decided
  })

/** As after a restart at which nobody came back; a group of which nothing else is known is gone with its last member. */
const deletion = ({ protocol }: GroupState): ReadonlyArray<Command> => {
  if (protocol === undefined) return [{ _tag: "DeleteGroup" }]
  const { members, pending, tickets } = protocol.machine.context
  const leaving = [...members.keys(), ...pending.keys()].map((memberId) => {
    return { memberId, groupInstanceId: null, reason: "the group is deleted" }
  })
  return [
    { _tag: "ForgetParkedReplies", ticketsUpTo: tickets },
    ...(leaving.length > 0 ? [{ _tag: "LeaveMembers", members: leaving } as const] : []),
    { _tag: "DeleteGroup" }
  ]
}

const unknownGroup = (group: string): CliError =>
  new CliError(
    exitCodes.notFound,
    "E_UNKNOWN_GROUP",
    `no group is named "${group}"`,
    "no group was deleted; logbrook groups list --data-dir DIR lists them"
  )

const hasMembers = (group: string, count: number): CliError =>
  new CliError(
    exitCodes.failure,
    "E_GROUP_HAS_MEMBERS",
    `the group "${group}" had ${count} ${count === 1 ? "member" : "members"} when the server ended`,
    "no group was deleted; --force deletes such groups, too: their members begin anew, without offsets"
  )
