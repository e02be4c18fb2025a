import { groupStateName, GroupStates, isEmptyGroup } from "@logbrook/actors/group/groupState"
import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { ListGroups } from "@logbrook/protocols/kafka/messages/16_ListGroups"
import { isFailure } from "../Access.ts"
import { handler } from "../Handler.ts"

// ListGroups 0-5: the groups that the client may describe, of some states (v4) and types (v5), whose names are compared without
// regard to case. Groups of simple consumers have no protocol type. There is one type, classic.

const groupType = "classic"

/** An empty filter lets everything through. */
const filterOf = (names: ReadonlyArray<string>): ((name: string) => boolean) => {
  const wanted = new Set(names.map((name) => name.toLowerCase()))
  return (name) => wanted.size === 0 || wanted.has(name.toLowerCase())
}

export const listGroupsHandler = handler(ListGroups, {
  serves: [0, 5],
  needs: { Group: ["Describe"] },
  handle: (context, { statesFilter, typesFilter }) => {
    const hasState = filterOf(statesFilter)
    const hasType = filterOf(typesFilter)
    const groups = []
    for (const [, state] of context.node.broker.shards.view(GroupStates).all()) {
      const { groupId, protocol } = state
      const groupState = groupStateName(state)
      if (isEmptyGroup(state) || !hasState(groupState) || !hasType(groupType)) continue
      if (isFailure(context.group("Describe", groupId))) continue
      groups.push({ groupId, protocolType: protocol?.machine.context.protocolType ?? "", groupState, groupType })
    }
    return { errorCode: KafkaError.NONE, groups }
  }
})
