import type { Definition } from "@logbrook/core/actor/Definition"
import { unbounded } from "@logbrook/core/memory/MemoryAccount"
import * as Exit from "effect/Exit"
import { decideClassic, describeClassic, forgetPending, resumeClassic } from "./classic/Classic.ts"
import { classicOf } from "./classic/classicDraft.ts"
import { type Answer, apply, decisionOf, type Draft, draftOf, refused } from "./groupDraft.ts"
import { type Command, defaultGroupSettings, GroupKind, type GroupSettings } from "./GroupProtocol.ts"
import {
  evolveGroup,
  groupStateName,
  GroupStates,
  groupStateVersion,
  type GroupState,
  initialGroup,
  isEmptyGroup,
  loadGroup,
  type SavedGroup,
  saveGroup,
  emptyAsNew,
  upcastGroup,
  weightBytesOf
} from "./groupState.ts"
import { decideOffsets } from "./offsets/decideOffsets.ts"
import { resumeOffsets, watchOffsets } from "./offsets/offsetExpiry.ts"

export type GroupDefinition = Definition<typeof GroupKind, GroupState>

/** The coordinator of one group, `group/<groupId>`, as Apache Kafka's `GroupMetadataManager` is one. */
export const makeGroup = (settings: GroupSettings = defaultGroupSettings): GroupDefinition => ({
  kind: GroupKind.name,
  version: 1,
  states: GroupStates,
  stateVersion: groupStateVersion,
  upcastState: upcastGroup,
  initial: initialGroup,
  decide: (state, command, nowMs, room = unbounded) => {
    const before = emptyAsNew(state)
    const draft = draftOf(settings, before, nowMs, room("groups"))
    const answer = handle(draft, command)
    watchOffsets(draft, before)
    return decisionOf(draft, answer)
  },
  evolve: evolveGroup,
  resume: (state, nowMs) => [
    ...(state.protocol === undefined ? [] : resumeClassic(state.protocol, nowMs)),
    ...resumeOffsets(state, settings, nowMs)
  ],
  save: saveGroup,
  load: (id, saved) => loadGroup(id, saved as SavedGroup),
  weights: [{ holder: "groups", perActor, bytesOf: weightBytesOf }],
  isEmpty: isEmptyGroup
})

/** The memory that an actor takes beside its id and its state, in bytes. */
const perActor = 600

/** Each command goes to whom it concerns; undefined: the reply is parked. */
const handle = (draft: Draft, command: Command): Answer | undefined => {
  switch (command._tag) {
    case "CommitOffsets":
    case "AddPendingOffsets":
    case "CompletePending":
    case "FetchOffsets":
    case "ForgetStreams":
    case "DeleteOffsets":
    case "ExpireOffsets":
      return decideOffsets(draft, command)
    case "DeleteGroup":
      return deleteGroup(draft)
    case "Describe":
      return describe(draft)
    default:
      return decideClassic(draft, command)
  }
}

const deleteGroup = (draft: Draft): Answer => {
  if (isEmptyGroup(draft.state)) return refused("GroupIdNotFound", "There is no such group.")
  if (groupStateName(draft.state) !== "Empty") return refused("NonEmptyGroup", "The group has members.")
  forgetPending(draft)
  apply(draft, { _tag: "GroupDeleted" })
  return Exit.succeed({ _tag: "GroupGone" })
}

/** A group of simple consumers is shown as Kafka shows it, as one of the classic protocol without members. */
const describe = (draft: Draft): Answer => {
  if (isEmptyGroup(draft.state)) return refused("GroupIdNotFound", "There is no such group.")
  const { groupId, offsets } = draft.state
  return Exit.succeed({
    _tag: "GroupDescription",
    groupId,
    state: groupStateName(draft.state),
    ...describeClassic(classicOf(draft)),
    committedOffsets: offsets.count
  })
}
