import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeGroups } from "@logbrook/protocols/kafka/messages/15_DescribeGroups"
import type { ResponseInputOf } from "@logbrook/protocols/kafka/Schema"
import * as Exit from "effect/Exit"
import { afterAll, type Answer } from "../Answer.ts"
import { groupOperations } from "../authorizedOperations.ts"
import { failureOf, type Failure } from "../errors.ts"
import { groupIdError } from "../groupIds.ts"
import { isFailure } from "../Access.ts"
import { handler, type ContextOf } from "../Handler.ts"
import { Reply } from "../Reply.ts"
import { bounded } from "../requestElements.ts"

// DescribeGroups 0-6: state and members of each group; metadata and assignments while it is Stable. A group that is not there
// is Dead, and from v6 on an error as well. The group id may be empty.

/** The first version that tells a group that is not there by an error. */
const notFoundSince = 6

type Described = ResponseInputOf<typeof DescribeGroups>["groups"][number]

const needs = { Group: ["Describe"] } as const

const nothing = { protocolType: "", protocolData: "", members: [] }

const describeGroup = (context: ContextOf<typeof needs>, groupId: string, version: number): Answer<Described> => {
  const refuse = ({ code, message }: Pick<Failure, "code" | "message">): Described => {
    if (code !== KafkaError.GROUP_ID_NOT_FOUND) return { groupId, errorCode: code, groupState: "", ...nothing }
    const error = version < notFoundSince ? { errorCode: KafkaError.NONE } : { errorCode: code, errorMessage: message }
    return { groupId, groupState: "Dead", ...error, ...nothing }
  }
  const invalid = groupIdError(groupId)
  if (invalid !== KafkaError.NONE) return refuse({ code: invalid, message: null })
  const group = context.group("Describe", groupId)
  if (isFailure(group)) return refuse(group)
  return context.ask(group, { _tag: "Describe" }, (exit): Described => {
    if (Exit.isFailure(exit)) return refuse(failureOf(exit.cause, KafkaError.COORDINATOR_NOT_AVAILABLE))
    const { state, protocolType, protocolName, members } = exit.value
    return {
      errorCode: KafkaError.NONE,
      groupId,
      groupState: state,
      protocolType,
      protocolData: protocolName,
      members: members.map(({ metadata, assignment, clientHost, ...member }) => ({
        ...member,
        // As Java prints an address.
        clientHost: `/${clientHost}`,
        memberMetadata: metadata,
        memberAssignment: assignment
      }))
    }
  })
}

export const describeGroupsHandler = handler(DescribeGroups, {
  serves: [0, 6],
  needs,
  handle: (context, { groups: all, includeAuthorizedOperations }, version) => {
    const [asked, violation] = bounded("DescribeGroups", "groups", all)
    const described = asked.map((groupId) => describeGroup(context, groupId, version))
    return afterAll(described, (results) => {
      const groups = results.map((group) =>
        includeAuthorizedOperations && group.errorCode === KafkaError.NONE
          ? { ...group, authorizedOperations: groupOperations(context, group.groupId) }
          : group
      )
      return new Reply({ groups }, { violation })
    })
  }
})
