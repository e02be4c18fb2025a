import type { Command } from "@logbrook/actors/group/GroupProtocol"
import type { GroupState } from "@logbrook/actors/group/groupState"
import { CliError, exitCodes } from "./CliError.ts"
import { throwIfNoJournal } from "./directories.ts"
import { journalErrors } from "./journalErrors.ts"
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
export const storedGroups = async (directory: string): Promise<ReadonlyArray<StoredGroup>> => {
  const [{ Replay }, { kindOf, nameOf }, { groupStateName, isEmptyGroup, memberCountOf, weightBytesOf }] =
    await Promise.all([
      import("@logbrook/core/shard/Replay"),
      import("@logbrook/core/actor/Definition"),
      import("@logbrook/actors/group/groupState")
    ])
  const { past, close } = await openPast(directory)
  try {
    const only = (id: string): boolean => kindOf(id) === "group"
    const { states } = await journalErrors(() => new Replay(past.definitions, { only }).run(past.journal))
    return Array.from(states)
      .map(([id, state]) => [nameOf(id), state as GroupState] as const)
      .filter(([, state]) => !isEmptyGroup(state))
      .map(([group, state]) => ({
        group,
        state: groupStateName(state),
        members: memberCountOf(state),
        committedOffsets: state.offsets.count,
        memoryBytes: weightBytesOf(state)
      }))
      .toSorted((a, b) => b.memoryBytes - a.memoryBytes)
  } finally {
    await close()
  }
}

export interface DeletedGroup {
  readonly group: string
  readonly offsets: number
}

/**
 * Deletes groups of a directory that no server has, in one commit: all or none of them. `force`: also groups that had members
 * when the server ended. Throws `CliError`.
 */
export const deleteStored = async (
  directory: string,
  names: ReadonlyArray<string>,
  force: boolean
): Promise<ReadonlyArray<DeletedGroup>> => {
  await throwIfNoJournal(directory)
  const [Exit, { decideOffline }, { groupActor }, { isEmptyGroup, memberCountOf }, { definitions }, { defaultLimits }] =
    await Promise.all([
      import("effect/Exit"),
      import("@logbrook/core/shard/offline"),
      import("@logbrook/actors/group/GroupProtocol"),
      import("@logbrook/actors/group/groupState"),
      import("../Broker.ts"),
      import("@logbrook/core/Limits")
    ])
  const { segmentBytesMax: segmentBytes, segmentIndexEntriesMax: segmentRefsMax } = defaultLimits
  const options = {
    journal: { directory, segmentBytes, segmentRefsMax },
    definitions: definitions(defaultLimits),
    nowMs: Date.now(),
    origin: "cli groups delete"
  }
  return journalErrors(() =>
    decideOffline(options, ({ state, ask }) =>
      names.map((group) => {
        const id = groupActor(group)
        const before = state(id) as GroupState | undefined
        if (before === undefined || isEmptyGroup(before)) {
          throw new CliError(exitCodes.notFound, "E_UNKNOWN_GROUP", `no group is named "${group}"`, nothingDeleted)
        }
        const members = memberCountOf(before)
        if (members > 0 && !force) throw hasMembers(group, members)
        for (const command of deletion(before)) {
          if (isEmptyGroup(state(id) as GroupState)) break
          const exit = ask(id, command)
          if (Exit.isFailure(exit)) throw new Error(`${id} refuses ${command._tag}: ${String(exit.cause)}`)
        }
        return { group, offsets: before.offsets.count }
      })
    )
  )
}

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

const nothingDeleted = "no group was deleted; logbrook groups list --data-dir DIR lists them"

const hasMembers = (group: string, count: number): CliError =>
  new CliError(
    exitCodes.failure,
    "E_GROUP_HAS_MEMBERS",
    `the group "${group}" had ${count} ${count === 1 ? "member" : "members"} when the server ended`,
    "no group was deleted; --force deletes such groups, too: their members begin anew, without offsets"
  )
