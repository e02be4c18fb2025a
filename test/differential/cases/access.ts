import { DescribeAcls } from "@logbrook/protocols/kafka/messages/29_DescribeAcls"
import { CreateAcls } from "@logbrook/protocols/kafka/messages/30_CreateAcls"
import { DeleteAcls } from "@logbrook/protocols/kafka/messages/31_DeleteAcls"
import { type Case, every, type Family } from "../Case.ts"
import { plain } from "../fixtures.ts"

const topicType = 2
const [any, read, allow, literal] = [1, 3, 3, 3]

const acl = {
  resourceType: topicType,
  resourceName: plain,
  resourcePatternType: literal,
  principal: "User:ANONYMOUS",
  host: "*",
  operation: read,
  permissionType: allow
}

const filter = (resourceTypeFilter: number, resourceNameFilter: string | null) => ({
  resourceTypeFilter,
  resourceNameFilter,
  patternTypeFilter: any,
  principalFilter: null,
  hostFilter: null,
  operation: any,
  permissionType: any
})

/** Kafka as it is shipped has no authorizer. */
const cases = (): ReadonlyArray<Case> => [
  ...every(DescribeAcls, [1, 3], "all", () => filter(any, null)),
  ...every(DescribeAcls, [1, 3], "of a topic", () => filter(topicType, plain)),
  ...every(CreateAcls, [1, 3], "one", () => ({ creations: [acl] })),
  ...every(CreateAcls, [1, 3], "two", () => ({ creations: [acl, { ...acl, operation: 4 }] })),
  ...every(CreateAcls, [1, 3], "none", () => ({ creations: [] })),
  ...every(DeleteAcls, [1, 3], "all", () => ({ filters: [filter(any, null)] })),
  ...every(DeleteAcls, [1, 3], "by two filters", () => ({ filters: [filter(any, null), filter(topicType, plain)] })),
  ...every(DeleteAcls, [1, 3], "none", () => ({ filters: [] }))
]

export const accessFamily: Family = { name: "access", topics: [], cases }
