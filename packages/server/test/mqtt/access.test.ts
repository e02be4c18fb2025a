import type { Rule } from "@logbrook/core/access/Access"
import { Authorizer } from "@logbrook/core/access/Authorizer"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { connected, type Kit, publishPacket, startKit, subscribePacket } from "./kit.ts"

// Who publishes, subscribes or leaves a will asks for the topic name; what is denied leaves no event.

const asked: Array<string> = []
const onlyPublic: Rule = ({ name: principal }, operation, resource) => {
  if (resource.type !== "TopicName") return undefined
  asked.push(`${principal}: ${operation} ${resource.name}`)
  return resource.name.startsWith("public") ? undefined : { reason: "SystemTopicName", text: "not public" }
}

const notAuthorized = 0x87
const utf8 = (text: string): ReadonlyArray<number> => [0, text.length, ...Buffer.from(text)]
/** With flags of a will of QoS 0: no properties, topic, payload. */
const will = (topic: string): ReadonlyArray<number> => [0, ...utf8(topic), ...utf8("gone")]

describe("access", () => {
  let kit: Kit

  beforeAll(async () => {
    kit = await startKit({ authorizer: new Authorizer([onlyPublic]) })
    await kit.bind("all", ["#"])
  })
  afterAll(() => kit.stop())

  it("is asked for by PUBLISH, in every quality of service", async () => {
    const client = await connected(kit.port, { clientId: "p" })
    for (const qos of [1, 2] as const) {
      client.send(publishPacket("secret/a", "x", { qos, packetId: qos }))
      expect([...(await client.packet()).subarray(2, 5)]).toEqual([0, qos, notAuthorized])
    }
    client.send(publishPacket("secret/a", "x", { qos: 0 }))
    client.send(publishPacket("secret/a", "x", { qos: 0, retain: true }))
    client.send(publishPacket("public/a", "y", { qos: 1, packetId: 3 }))
    expect([...(await client.packet()).subarray(2, 4)]).toEqual([0, 3])
    expect(kit.records("all").map(({ value }) => value)).toEqual(["y"])
    expect(asked).toContain("anonymous: Write secret/a")
    client.socket.destroy()
  })

  it("is asked for by SUBSCRIBE, filter by filter, without the share", async () => {
    const client = await connected(kit.port, { clientId: "s" })
    client.send(
      subscribePacket(1, [
        ["secret/#", 0],
        ["public/#", 1],
        ["$share/g/secret/a", 1]
      ])
    )
    const suback = await client.packet()
    expect([...suback.subarray(-3)]).toEqual([notAuthorized, 1, notAuthorized])
    expect(suback.toString()).toContain("not public")
    expect(asked).toContain("anonymous: Read secret/a")
    client.socket.destroy()
  })

  it("is asked for by a will when it is left, and by the will itself", async () => {
    const denied = await connected(kit.port, { clientId: "w1", flags: 6, rest: will("secret/w") })
    await denied.rest()
    expect(denied.accepted[3]).toBe(notAuthorized)
    const allowed = await connected(kit.port, { clientId: "w2", flags: 6, rest: will("public/w") })
    expect(allowed.accepted[3]).toBe(0)
    asked.length = 0
    allowed.socket.destroy()
    await expect.poll(() => asked, { timeout: 60_000 }).toContain("anonymous: Write public/w")
  })
})
