import { groupActor } from "@logbrook/actors/group/GroupProtocol"
import {
  generationOf,
  groupStateName,
  GroupStates,
  memberCountOf,
  weightBytesOf,
  type GroupState
} from "@logbrook/actors/group/groupState"
import { nameOf } from "@logbrook/core/actor/Definition"
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import { lagsOf, totalLag } from "../streams/groupLag.ts"
import { presentGroup } from "../tools/present.ts"
import { asked } from "./asked.ts"
import { EndpointRefused } from "./refusals.ts"

export const groupNames = ({ shards }: Broker): ReadonlyArray<string> =>
  Array.from(shards.view(GroupStates).all(), ([actor]) => nameOf(actor))

export const groupNamed = ({ shards }: Broker, name: string): GroupState | undefined =>
  shards.view(GroupStates).get(groupActor(name))

const found = (broker: Broker, name: string): Effect.Effect<GroupState, EndpointRefused> =>
  Effect.suspend(() => {
    const state = groupNamed(broker, name)
    if (state !== undefined) return Effect.succeed(state)
    return new EndpointRefused({ code: "UNKNOWN_GROUP", message: `no group is named "${name}"` })
  })

export const groupSummary = (broker: Broker, state: GroupState) => ({
  group: state.groupId,
  state: groupStateName(state),
  members: memberCountOf(state),
  ...totalLag(lagsOf(broker, state)),
  committedOffsets: state.offsets.count,
  memoryBytes: weightBytesOf(state)
})

export const getGroup = (broker: Broker, name: string) =>
  Effect.map(found(broker, name), (state) => {
    const offsets = lagsOf(broker, state)
    const [value, generation] = [groupStateName(state), generationOf(state)]
    return { group: name, state: value, generation, ...totalLag(offsets), details: presentGroup(state), offsets }
  })

export const deleteGroup = (broker: Broker, name: string) =>
  Effect.gen(function* () {
    const { count } = (yield* found(broker, name)).offsets
    const unavailable = "the group cannot answer: try again"
    yield* asked(broker, groupActor(name), { _tag: "DeleteGroup" }, "http DELETE /groups", unavailable)
    return { offsets: count }
  })
