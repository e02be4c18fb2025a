import { describe, expect, it } from "vitest"
import { anonymous, cluster, type Operation, type Resource, type Rule } from "../../src/access/Access.ts"
import { Authorizer } from "../../src/access/Authorizer.ts"

const topicName = (name: string): Resource => ({ type: "TopicName", name })
const topic = (isBound: boolean): Resource => ({ type: "Topic", name: "orders", isBound })
const reasonOf = (operation: Operation, resource: Resource) =>
  new Authorizer().authorize(anonymous, operation, resource)?.reason

describe("the rules for everybody", () => {
  it.each<[Operation, string, string | undefined]>([
    ["Write", "$stream/orders", "ReservedTopicName"],
    ["Write", "$share", "ReservedTopicName"],
    ["Write", "$queue/a", "ReservedTopicName"],
    ["Read", "$stream/orders", "ReservedTopicName"],
    ["Read", "$queue/#", "ReservedTopicName"],
    ["Write", "$SYS/broker/uptime", "SystemTopicName"],
    ["Write", "$SYS", "SystemTopicName"],
    ["Write", "$SYS/broker/connection/a/state", undefined],
    ["Read", "$SYS/#", undefined],
    ["Write", "$streams/a", undefined],
    ["Write", "a/$stream/b", undefined],
    ["Write", "$aws/things", undefined],
    ["Write", "orders", undefined]
  ])("%s on the topic name %s: %s", (operation, name, reason) => {
    expect(reasonOf(operation, topicName(name))).toBe(reason)
  })

  it("a bound stream is read, described, altered and deleted by Kafka, not written", () => {
    expect(reasonOf("Write", topic(true))).toBe("BoundStream")
    expect(reasonOf("Write", topic(false))).toBeUndefined()
    for (const operation of ["Read", "Describe", "Alter", "Delete"] as const) {
      expect(reasonOf(operation, topic(true))).toBeUndefined()
    }
  })

  it("nothing is against groups and the cluster", () => {
    expect(reasonOf("Read", { type: "Group", name: "g" })).toBeUndefined()
    expect(reasonOf("Alter", cluster)).toBeUndefined()
  })
})

const onlyRead: Rule = (principal, operation) =>
  operation === "Read" ? undefined : { reason: "BoundStream", text: principal.name }
const never: Rule = () => ({ reason: "SystemTopicName", text: "never" })

it("the first rule that is against it is told", () => {
  expect(new Authorizer([onlyRead, never]).authorize(anonymous, "Write", cluster)?.text).toBe("anonymous")
  expect(new Authorizer([onlyRead, never]).authorize(anonymous, "Read", cluster)?.text).toBe("never")
  expect(new Authorizer([]).authorize(anonymous, "Write", topic(true))).toBeUndefined()
})
