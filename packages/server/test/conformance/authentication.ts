import type { IAuthPacket, IConnackPacket } from "mqtt-packet"
import * as Effect from "effect/Effect"
import { ReasonCode } from "@logbrook/protocols/mqtt/ReasonCodes"
import { describe, expect } from "vitest"
import type { AuthenticationMethod, AuthenticationStep } from "../../src/mqtt/authentication/AuthenticationMethod.ts"
import { packet } from "../mqtt/kit.ts"
import { conforms, packetType, type Peer, property, read, section, serve } from "./kit.ts"
import { server } from "./server.ts"

// AUTH (3.15) and enhanced authentication (4.12), on a server that has a method of two rounds, and on one that has none.

const protocolError = 0x82

const stepOf = (data: Uint8Array | undefined): AuthenticationStep => {
  switch (data === undefined ? "" : Buffer.from(data).toString()) {
    case "":
      return { _tag: "Continue", data: Buffer.from("who?") }
    case "me":
      return { _tag: "Accepted", principal: { type: "User", name: "me" }, data: Buffer.from("welcome") }
    default:
      return { _tag: "Refused", code: ReasonCode.NotAuthorized, reason: "somebody else" }
  }
}
const twoRounds: AuthenticationMethod = {
  name: "two-rounds",
  begin: () => ({ step: (data) => Effect.sync(() => stepOf(data)) })
}
const withMethod = serve({ authenticationMethods: [twoRounds] })

const method = property.authenticationMethod("two-rounds")
const auth = (code: number, data?: string, named: ReadonlyArray<number> = method): Buffer =>
  packet(
    packetType.auth,
    [code],
    section(5, [...named, ...(data === undefined ? [] : property.authenticationData(data))])
  )

/** A client whose CONNECT was answered by AUTH. */
const begun = async (): Promise<{ readonly client: Peer; readonly challenge: Buffer }> => {
  const { peer, connack } = await withMethod.connack(5, { properties: method })
  return { client: peer, challenge: connack }
}
/** A client that is through. */
const authenticated = async (): Promise<{ readonly client: Peer; readonly connack: Buffer }> => {
  const { client } = await begun()
  client.send(auth(0x18, "me"))
  return { client, connack: await client.next(packetType.connack) }
}

describe("AUTH", () => {
  conforms("5.0 MQTT-3.15.2-1", "has one of its codes, either way", async () => {
    for (const code of [0x00, 0x01, 0x80, 0xff]) {
      const { client } = await authenticated()
      await client.send(auth(code)).ended(protocolError)
    }
    const { client } = await authenticated()
    client.send(auth(0x19))
    expect((await client.next(packetType.auth))[2]).toBe(0x18)
    client.send(auth(0x18, "me"))
    expect((await client.next(packetType.auth))[2]).toBe(0x00)
  })
  conforms(
    ["5.0 MQTT-3.15.2-2", "5.0 MQTT-3.15.2-3"],
    "of the server has neither reason string nor user properties",
    async () => {
      const { client, challenge } = await begun()
      expect(challenge.equals(auth(0x18, "who?"))).toBe(true)
      client.send(auth(0x18, "me"))
      await client.next(packetType.connack)
      client.send(auth(0x19, "me"))
      expect((await client.packet()).equals(auth(0x00, "welcome"))).toBe(true)
    }
  )
})

describe("enhanced authentication", () => {
  conforms("5.0 MQTT-4.12.0-1", "by a method that is not there is refused: CONNACK 0x8C and the close", async () => {
    for (const { connack, peer } of [
      await server.connack(5, { properties: method }),
      await withMethod.connack(5, { properties: property.authenticationMethod("other") })
    ]) {
      expect([connack[0], connack[2], connack[3]]).toEqual([packetType.connack, 0, 0x8c])
      expect(await peer.rest()).toHaveLength(0)
    }
  })
  conforms("5.0 MQTT-4.12.0-2", "that needs more asks by AUTH 0x18", async () => {
    const { challenge } = await begun()
    expect([challenge[0], challenge[2]]).toEqual([packetType.auth, 0x18])
  })
  conforms("5.0 MQTT-4.12.0-4", "is refused at any step by CONNACK with a code, and the close", async () => {
    const atOnce = await withMethod.connack(5, { properties: [...method, ...property.authenticationData("you")] })
    expect([atOnce.connack[0], atOnce.connack[3]]).toEqual([packetType.connack, 0x87])
    expect(await atOnce.peer.rest()).toHaveLength(0)
    const { client } = await begun()
    const rest = await client.send(auth(0x18, "you")).rest()
    expect([rest[0], rest[2], rest[3], rest.length]).toEqual([packetType.connack, 0, 0x87, rest[1]! + 2])
  })
  conforms("5.0 MQTT-4.12.0-5", "names its method in every AUTH and in CONNACK", async () => {
    const { challenge } = await begun()
    expect(read<IAuthPacket>(5, challenge).properties?.authenticationMethod).toBe("two-rounds")
    const { client, connack } = await authenticated()
    expect(read<IConnackPacket>(5, connack).properties?.authenticationMethod).toBe("two-rounds")
    client.send(auth(0x19, "me"))
    expect(read<IAuthPacket>(5, await client.packet()).properties?.authenticationMethod).toBe("two-rounds")
    // Another one of the client's ends the connection.
    const other = await begun()
    const rest = await other.client.send(auth(0x18, "me", property.authenticationMethod("other"))).rest()
    expect([rest[0], rest[3]! >= 0x80]).toEqual([packetType.connack, true])
  })
  conforms("5.0 MQTT-4.12.0-6", "is not begun by the server, nor is a method in CONNACK", async () => {
    for (const served of [server, withMethod]) {
      const { peer, connack } = await served.connack(5)
      expect(read<IConnackPacket>(5, connack).properties).not.toHaveProperty("authenticationMethod")
      await peer.nothing()
    }
  })
  conforms("5.0 MQTT-4.12.0-7", "of a client whose CONNECT has no method ends the connection", async () => {
    for (const served of [server, withMethod]) {
      for (const code of [0x18, 0x19]) await (await served.connect(5)).send(auth(code)).ended(protocolError)
    }
  })
  conforms("5.0 MQTT-4.12.1-2", "anew that fails ends the connection, with DISCONNECT", async () => {
    const { client } = await authenticated()
    await client.send(auth(0x19, "you")).ended(0x87)
  })
})
