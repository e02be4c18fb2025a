import { KafkaError } from "@logbrook/protocols/kafka/ErrorCodes"
import { DescribeAcls } from "@logbrook/protocols/kafka/messages/29_DescribeAcls"
import { CreateAcls } from "@logbrook/protocols/kafka/messages/30_CreateAcls"
import { DeleteAcls } from "@logbrook/protocols/kafka/messages/31_DeleteAcls"
import { describe, expect, it } from "vitest"
import { aKitForEach } from "./aKitForEach.ts"
import type { RawClient } from "./kit.ts"

let client: RawClient

aKitForEach((_, connected) => {
  client = connected
})

const versions = [1, 2, 3]
const any = { resourceTypeFilter: 1, resourceNameFilter: null, patternTypeFilter: 1 }
const filter = { ...any, principalFilter: null, hostFilter: null, operation: 1, permissionType: 1 }
const acl = { resourceType: 2, resourceName: "orders", principal: "User:a", host: "*", operation: 3, permissionType: 3 }
const disabled = { errorCode: KafkaError.SECURITY_DISABLED, errorMessage: "No Authorizer is configured." }

/** As Apache Kafka 4.3.1 answers without an authorizer. */
describe("ACLs, of which there are none", () => {
  it.each(versions)("are not described, version %i", async (version) => {
    expect(await client.send(DescribeAcls, version, filter)).toMatchObject({
      errorCode: KafkaError.SECURITY_DISABLED,
      errorMessage: "No Authorizer is configured on the broker",
      resources: []
    })
  })

  it.each(versions)("are not created, version %i", async (version) => {
    const { results } = await client.send(CreateAcls, version, { creations: [acl, acl] })
    expect(results).toEqual([disabled, disabled])
  })

  it.each(versions)("are not deleted, version %i", async (version) => {
    const { filterResults } = await client.send(DeleteAcls, version, { filters: [filter, filter] })
    const refused = { ...disabled, matchingAcls: [] }
    expect(filterResults).toEqual([refused, refused])
  })

  it("of many, a thousand are answered, and the connection is closed", async () => {
    const { results } = await client.send(CreateAcls, 3, { creations: Array.from({ length: 1001 }, () => acl) })
    expect(results.length).toBe(1000)
    await client.closed()
  })

  it("of many filters as well", async () => {
    const { filterResults } = await client.send(DeleteAcls, 3, { filters: Array.from({ length: 1001 }, () => filter) })
    expect(filterResults.length).toBe(1000)
    await client.closed()
  })
})
