import { groupActor, GroupRefused } from "@logbrook/actors/group/GroupProtocol"
import {
  generationOf,
  groupStateName,
  GroupStates,
  memberCountOf,
  weightBytesOf,
  type GroupState
} from "@logbrook/actors/group/groupState"
import { nameOf } from "@logbrook/core/actor/Definition"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Broker } from "../Broker.ts"
import { lagsOf, totalLag } from "../streams/groupLag.ts"
import { presentGroup } from "../tools/present.ts"
import { ApiFailure } from "./ApiFailure.ts"

export const groupNames = ({ shards }: Broker): ReadonlyArray<string> =>
  Array.from(shards.view(GroupStates).all(), ([actor]) => nameOf(actor)).sort()

const find = ({ shards }: Broker, name: string): GroupState => {
  const state = shards.view(GroupStates).get(groupActor(name))
  if (state === undefined) throw new ApiFailure("UNKNOWN_GROUP", `no group is named "${name}"`)
  return state
}

export const groupSummary = (broker: Broker, name: string) => {
  const state = find(broker, name)
  return {
    group: name,
    state: groupStateName(state),
    members: memberCountOf(state),
    ...totalLag(lagsOf(broker, state)),
    committedOffsets: state.offsets.count,
    memoryBytes: weightBytesOf(state)
  }
}

export const getGroup = (broker: Broker, name: string) => {
  const state = find(broker, name)
  const offsets = lagsOf(broker, state)
  const [value, generation] = [groupStateName(state), generationOf(state)]
  return { group: name, state: value, generation, ...totalLag(offsets), details: presentGroup(state), offsets }
}

const failureOf = (error: unknown): Error => {
  if (!(error instanceof GroupRefused)) return new ApiFailure("UNAVAILABLE", "the group cannot answer: try again")
  if (error.reason === "GroupIdNotFound") return new ApiFailure("UNKNOWN_GROUP", "there is no such group")
  return new ApiFailure("GROUP_HAS_MEMBERS", "the group has members: it is deleted once they have left")
}

/** Resolves once it is durable. Rejects with `ApiFailure`. */
export const deleteGroup = (broker: Broker, name: string): Promise<{ readonly offsets: number }> => {
  const offsets = find(broker, name).offsets.count
  return new Promise((resolve, reject) => {
    if (broker.shards.isPoisoned) {
      reject(new ApiFailure("UNAVAILABLE", "the journal has failed"))
      return
    }
    broker.shards.ask(groupActor(name), { _tag: "DeleteGroup" }, { origin: "http DELETE /groups" }, (exit) =>
      Exit.isSuccess(exit) ? resolve({ offsets }) : reject(failureOf(Cause.squash(exit.cause)))
    )
  })
}
